import { type AnswerRequest, type Task as TaskInfo, type TaskEvent, type TaskOutcome, task, taskEvent } from '@citb/api';
import type { Connection } from './connection.ts';
import { ConnectionError } from './errors.ts';
import { type EventOptions, followEvents } from './follow.ts';

export type { EventOptions, TaskInfo };
type Completion = Extract<TaskEvent, { type: 'completion' }>;

/** How a task ended. A failed task is a result, not an exception: `outcome` says which. */
export interface TaskResult {
  readonly outcome: TaskOutcome;
  /** The agent's last answer, or what went wrong. */
  readonly text: string;
  readonly stopReason: string | null;
  readonly usage: Completion['usage'];
}

/** One piece of work for the agent of a box. */
export class Task {
  readonly id: string;
  readonly boxId: string;
  readonly #connection: Connection;
  #seen = 0;
  #completion: Completion | undefined;
  #usage: Completion['usage'];

  constructor(connection: Connection, boxId: string, id: string) {
    this.#connection = connection;
    this.boxId = boxId;
    this.id = id;
  }

  /** State, times, outcome. @throws ApiError `task_not_found` */
  async info(): Promise<TaskInfo> {
    return this.#connection.json(this.#path(), task);
  }

  /**
   * What the task does, as it happens; what already happened comes first. Ends after `completion`. A broken connection is
   * taken up again where it stopped: no event is lost, none comes twice. Leaving the loop does not stop the task.
   * @throws ApiError; ConnectionError when the host stays away longer than `reconnectMs`
   */
  async *events(options: EventOptions = {}): AsyncGenerator<TaskEvent, void, void> {
    const events = followEvents(this.#connection, `${this.#path()}/events`, taskEvent, isCompletion, options);
    for await (const event of events) {
      this.#note(event);
      yield event;
    }
  }

  /** Resolves when the task has ended, however it ended. @throws ApiError, ConnectionError */
  async result(options: Omit<EventOptions, 'after'> = {}): Promise<TaskResult> {
    if (this.#completion === undefined) {
      for await (const event of this.events({ ...options, after: this.#seen })) if (event.type === 'completion') this.#completion = event;
    }
    if (this.#completion === undefined) throw new ConnectionError('protocol', 'The task ended without a completion.');
    const { outcome, content, stop_reason: stopReason, usage } = this.#completion;
    return { outcome, text: content, stopReason, usage: usage ?? this.#usage };
  }

  /** Ends the task as `interrupted`; its `completion` follows in the stream. @throws ApiError `task_ended` */
  async cancel(): Promise<TaskInfo> {
    return this.#connection.json(`${this.#path()}/cancel`, task, { method: 'POST', json: {} });
  }

  /**
   * Answers a `question` event: the text of each question and the chosen label, labels or free words.
   * @throws ApiError `question_not_found`
   */
  async answer(questionId: string, answers: AnswerRequest['answers']): Promise<void> {
    await this.#connection.none(`${this.#path()}/answers/${encodeURIComponent(questionId)}`, { method: 'POST', json: { answers } });
  }

  #note(event: TaskEvent): void {
    this.#seen = Math.max(this.#seen, event.seq);
    if (event.type === 'usage') this.#usage = event.content;
    if (event.type === 'completion') this.#completion = event;
  }

  #path(): string {
    return `/v1/boxes/${encodeURIComponent(this.boxId)}/tasks/${encodeURIComponent(this.id)}`;
  }
}

function isCompletion({ type }: TaskEvent): boolean {
  return type === 'completion';
}
