import { type AgentTask, type AgentTaskRequest, type AnswerRequest, ApiError, type TaskState, isTaskEnded, limits } from '@citb/api';
import { isDiskFull } from '../durable.ts';
import { status } from '../events/mapping.ts';
import { errorEvent } from '../events/model-errors.ts';
import { failed } from './conclusion.ts';
import type { Journals, TaskJournal } from './journals.ts';
import { type RunContext, TaskRun } from './run.ts';
import type { Spool } from './spool.ts';

interface Task {
  readonly entry: TaskJournal;
  state: TaskState;
  run?: TaskRun;
}

/** All tasks of the box, done one after the other in the order in which they were accepted. */
export class Tasks {
  readonly #tasks = new Map<string, Task>();
  readonly #journals: Journals;
  readonly #spool: Spool;
  readonly #context: RunContext;
  readonly #afterEach: () => Promise<void>;
  #wake = Promise.withResolvers<void>();
  #accepting: Promise<unknown> = Promise.resolve();
  #stopped = false;

  /** @param afterEach called between two tasks */
  constructor(journals: Journals, spool: Spool, context: RunContext, afterEach: () => Promise<void>) {
    this.#journals = journals;
    this.#spool = spool;
    this.#context = context;
    this.#afterEach = afterEach;
  }

  /** Takes up what an earlier run of this server left: queued tasks are queued, the one that ran is told to be interrupted. */
  async recover(): Promise<void> {
    for (const entry of this.#journals.load()) {
      const { last, lastSeq } = entry.journal;
      if (lastSeq === 0) this.#journals.remove(entry);
      else if (last?.type === 'completion') this.#add(entry, last.outcome);
      else if (lastSeq > 1) await this.#endInterrupted(entry);
      else if ((await this.#spool.get(entry.id)) === undefined) await this.#endLost(entry);
      else this.#add(entry, 'queued');
    }
    await this.#spool.keepOnly(new Set(this.#unfinished().map((task) => task.entry.id)));
  }

  /** Does the tasks until {@link stop}. */
  async work(): Promise<void> {
    while (!this.#stopped) {
      const next = [...this.#tasks.values()].find((task) => task.state === 'queued');
      if (next === undefined) {
        this.#wake = Promise.withResolvers<void>();
        await this.#wake.promise;
        continue;
      }
      await this.#do(next);
      await this.#afterEach();
    }
  }

  /** Begins no more tasks. One that runs is found interrupted at the next start. */
  stop(): void {
    this.#stopped = true;
    this.#wake.resolve();
  }

  /**
   * Accepts a task; it is on the disk when this returns. The same id again is the same task.
   * @throws ApiError `queue_full`, `disk_full`
   */
  accept(request: AgentTaskRequest): Promise<AgentTask> {
    const accepted = this.#accepting.then(() => this.#accept(request));
    this.#accepting = accepted.catch(() => undefined);
    return accepted;
  }

  list(): AgentTask[] {
    return [...this.#tasks.values()].map(shown);
  }

  /** @throws ApiError `task_not_found` */
  get(id: string): AgentTask {
    return shown(this.#find(id));
  }

  /** The lines of a task's journal, see `Journal.lines`. @throws ApiError `task_not_found` */
  events(id: string, after: number, heartbeatMs: number): AsyncGenerator<Buffer | string> {
    return this.#find(id).entry.journal.lines(after, heartbeatMs);
  }

  /** @throws ApiError `task_not_found`, `task_ended` */
  async cancel(id: string): Promise<void> {
    const task = this.#find(id);
    if (isTaskEnded(task.state)) throw new ApiError('task_ended');
    if (task.run !== undefined) {
      task.run.stop('cancelled');
      return;
    }
    await this.#end(task, 'interrupted', 'The task was cancelled before it began.');
  }

  /** @throws ApiError `task_not_found`, `question_not_found` */
  answer(id: string, questionId: string, answers: AnswerRequest['answers']): void {
    if (this.#find(id).run?.questions.answer(questionId, answers) !== true) throw new ApiError('question_not_found');
  }

  /** Forgets an ended task. @throws ApiError `task_not_found`, `box_busy` while it has not ended */
  remove(id: string): void {
    const task = this.#find(id);
    if (!isTaskEnded(task.state)) throw new ApiError('box_busy', 'The task has not ended.', { hint: 'Cancel it first.' });
    this.forget(id);
    this.#journals.remove(task.entry);
  }

  /** Called when a journal had to go. */
  forget(id: string): void {
    this.#tasks.delete(id);
  }

  async #accept(request: AgentTaskRequest): Promise<AgentTask> {
    const known = this.#tasks.get(request.id);
    if (known !== undefined) return shown(known);
    const ahead = this.#unfinished().length;
    if (ahead >= limits.tasksPerBox) throw new ApiError('queue_full');
    let entry: TaskJournal | undefined;
    try {
      await this.#spool.put(request);
      entry = await this.#journals.create(request.id);
      entry.journal.append(status('queued', { position: ahead }));
      await entry.journal.sync();
    } catch (error) {
      if (entry !== undefined) this.#journals.remove(entry);
      await this.#spool.remove(request.id);
      throw isDiskFull(error) ? new ApiError('disk_full', undefined, { cause: error }) : error;
    }
    const task = this.#add(entry, 'queued');
    this.#wake.resolve();
    return shown(task);
  }

  async #do(task: Task): Promise<void> {
    const { id, journal } = task.entry;
    const request = await this.#spool.get(id);
    // It may have been cancelled meanwhile.
    if (task.state !== 'queued') return;
    task.state = 'running';
    if (request === undefined) return this.#endLost(task.entry);
    task.run = new TaskRun(request, journal, this.#context);
    await task.run.run();
    delete task.run;
    await this.#settled(task, journal.last?.type === 'completion' ? journal.last.outcome : 'failed');
  }

  async #end(task: Task, outcome: 'failed' | 'interrupted', content: string): Promise<void> {
    task.state = outcome;
    await task.entry.journal.end({ type: 'completion', content, outcome, stop_reason: null });
    await this.#settled(task, outcome);
  }

  async #settled(task: Task, state: TaskState): Promise<void> {
    task.state = state;
    await this.#spool.remove(task.entry.id);
    this.#journals.ended(task.entry);
  }

  async #endInterrupted(entry: TaskJournal): Promise<void> {
    const message = 'The box or its agent was restarted while the task ran.';
    entry.journal.append(errorEvent({ code: 'agent_restarted', message, hint: 'Send a new task to go on.' }));
    await this.#end(
      this.#add(entry, 'running'),
      'interrupted',
      `${message} Its files and the conversation up to then are kept; an answer that was being written is lost. Send a new task to go on.`,
    );
  }

  async #endLost(entry: TaskJournal): Promise<void> {
    const conclusion = failed({
      code: 'request_lost',
      message: 'What the task was to do is not on the disk any more.',
      hint: 'Send it again.',
    });
    if (conclusion.trouble !== undefined) entry.journal.append(errorEvent(conclusion.trouble));
    await this.#end(this.#tasks.get(entry.id) ?? this.#add(entry, 'queued'), 'failed', conclusion.content);
  }

  #add(entry: TaskJournal, state: TaskState): Task {
    const task: Task = { entry, state };
    this.#tasks.set(entry.id, task);
    if (isTaskEnded(state)) this.#journals.ended(entry);
    return task;
  }

  #unfinished(): Task[] {
    return [...this.#tasks.values()].filter((task) => !isTaskEnded(task.state));
  }

  #find(id: string): Task {
    const task = this.#tasks.get(id);
    if (task === undefined) throw new ApiError('task_not_found');
    return task;
  }
}

function shown(task: Task): AgentTask {
  return { id: task.entry.id, state: task.state, last_seq: task.entry.journal.lastSeq };
}
