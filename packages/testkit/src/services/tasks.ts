import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type AnswerRequest, ApiError, fileBytes, isTaskEnded, limits, type NewTaskEvent, type Task, type TaskEvent } from '@citb/api';
import type { NewTask, Tasks } from '@citb/host/services.ts';
import type { BoxesDouble } from './boxes.ts';
import { cannedScript, type ScriptedTask, type TaskScript } from './script.ts';

interface Running {
  task: Task;
  readonly boxId: string;
  readonly events: TaskEvent[];
  /** `change` for each event. */
  readonly bus: EventTarget;
  readonly cancel: AbortController;
  readonly questions: Map<string, (answer: AnswerRequest) => void>;
}

/** Tasks that play a script instead of asking an agent; one after the other in each box. */
export class TasksDouble implements Tasks {
  /** What the agent does; tests replace it. */
  script: TaskScript = cannedScript;
  lastRequest: NewTask | undefined;
  readonly #boxes: BoxesDouble;
  readonly #all = new Map<string, Running>();
  readonly #byKey = new Map<string, { request: string; id: string }>();
  readonly #queues = new Map<string, Promise<void>>();

  constructor(boxes: BoxesDouble) {
    this.#boxes = boxes;
    boxes.onKilled((boxId) => this.#of(boxId).forEach((running) => running.cancel.abort()));
  }

  async start(boxId: string, request: NewTask, idempotencyKey?: string): Promise<Task> {
    const box = this.#boxes.need(boxId);
    this.lastRequest = request;
    if (box.runtime !== 'claude-agent') throw new ApiError('no_agent');
    const before = idempotencyKey === undefined ? undefined : this.#byKey.get(`${boxId} ${idempotencyKey}`);
    if (before !== undefined) {
      if (before.request !== JSON.stringify(request)) throw new ApiError('idempotency_conflict');
      return this.#need(boxId, before.id).task;
    }
    if (this.#of(boxId).filter(({ task }) => !isTaskEnded(task.state)).length >= limits.tasksPerBox) throw new ApiError('queue_full');
    const running = newRunning(boxId, request);
    this.#all.set(running.task.id, running);
    if (idempotencyKey !== undefined)
      this.#byKey.set(`${boxId} ${idempotencyKey}`, { request: JSON.stringify(request), id: running.task.id });
    const turn = (this.#queues.get(boxId) ?? Promise.resolve()).then(() => this.#play(running, request));
    this.#queues.set(boxId, turn);
    return running.task;
  }

  async #play(running: Running, request: NewTask): Promise<void> {
    running.task = { ...running.task, state: 'running', started: new Date().toISOString() };
    const task: ScriptedTask = {
      prompt: request.prompt,
      workspace: this.#boxes.workspace(running.boxId),
      signal: running.cancel.signal,
      // A script that waits for an answer must end with its task: the next one waits for it.
      answer: (id) =>
        new Promise((resolve, reject) => {
          running.questions.set(id, resolve);
          running.cancel.signal.addEventListener('abort', () => reject(new Error('cancelled')), { once: true });
        }),
    };
    try {
      for (const [name, content] of Object.entries(request.files)) {
        await mkdir(path.dirname(path.join(task.workspace, name)), { recursive: true });
        await writeFile(path.join(task.workspace, name), fileBytes(content));
      }
      for await (const event of this.script(task)) {
        if (running.cancel.signal.aborted) break;
        record(running, event);
      }
    } catch (error) {
      record(running, { type: 'error', content: { code: 'internal', message: String(error) } });
      record(running, completion(String(error), 'failed'));
    }
    if (!isTaskEnded(running.task.state)) record(running, completion('Interrupted.', 'interrupted'));
  }

  async get(boxId: string, taskId: string): Promise<Task> {
    return this.#need(boxId, taskId).task;
  }

  async list(boxId: string, { limit, cursor }: { limit: number; cursor?: string }): ReturnType<Tasks['list']> {
    this.#boxes.need(boxId);
    const all = this.#of(boxId)
      .map(({ task }) => task)
      .toReversed();
    const from = cursor === undefined ? 0 : all.findIndex((task) => task.id === cursor) + 1;
    const tasks = all.slice(from, from + limit);
    return { tasks, next: from + limit < all.length ? (tasks.at(-1)?.id ?? null) : null };
  }

  async cancel(boxId: string, taskId: string): Promise<Task> {
    const running = this.#need(boxId, taskId);
    if (isTaskEnded(running.task.state)) throw new ApiError('task_ended');
    running.cancel.abort();
    record(running, completion('Interrupted.', 'interrupted'));
    return running.task;
  }

  async answer(boxId: string, taskId: string, questionId: string, answer: AnswerRequest): Promise<void> {
    const { questions } = this.#need(boxId, taskId);
    const resolve = questions.get(questionId);
    if (resolve === undefined) throw new ApiError('question_not_found');
    questions.delete(questionId);
    resolve(answer);
  }

  async *events(boxId: string, taskId: string, after: number, signal: AbortSignal): AsyncIterable<TaskEvent | undefined> {
    const running = this.#need(boxId, taskId);
    for (let next = after; ;) {
      while (next < running.events.length) {
        const event = running.events[next++] as TaskEvent;
        yield event;
        if (event.type === 'completion') return;
      }
      if (isTaskEnded(running.task.state)) return;
      await once(running.bus, 'change', { signal });
    }
  }

  #of(boxId: string): Running[] {
    return [...this.#all.values()].filter((running) => running.boxId === boxId);
  }

  #need(boxId: string, taskId: string): Running {
    this.#boxes.need(boxId);
    const running = this.#all.get(taskId);
    if (running?.boxId !== boxId) throw new ApiError('task_not_found');
    return running;
  }
}

/** A last event as a script gives it. */
export function completion(content: string, outcome: 'done' | 'failed' | 'interrupted' = 'done'): NewTaskEvent {
  return { type: 'completion', content, outcome, stop_reason: outcome === 'done' ? 'end_turn' : null };
}

function record(running: Running, event: NewTaskEvent): void {
  if (isTaskEnded(running.task.state)) return;
  const ts = new Date().toISOString();
  const seq = running.events.length + 1;
  running.events.push({ ...event, seq, ts });
  running.task = { ...running.task, last_seq: seq };
  if (event.type === 'usage') running.task = { ...running.task, usage: event.content };
  if (event.type === 'completion')
    running.task = { ...running.task, state: event.outcome, outcome: event.outcome, result: event.content, ended: ts };
  running.bus.dispatchEvent(new Event('change'));
}

function newRunning(boxId: string, request: NewTask): Running {
  const id = `task_${Array.from({ length: 20 }, () => randomInt(36).toString(36)).join('')}`;
  return {
    boxId,
    events: [],
    bus: new EventTarget(),
    cancel: new AbortController(),
    questions: new Map(),
    task: {
      id,
      box_id: boxId,
      state: 'queued',
      conversation: request.options.conversation ?? 'main',
      prompt: request.prompt.slice(0, 2000),
      created: new Date().toISOString(),
      started: null,
      ended: null,
      last_seq: 0,
      outcome: null,
      result: null,
      usage: null,
    },
  };
}
