import {
  type Box as BoxInfo,
  type BoxEvent,
  type ContextMessage,
  type ExecRequest,
  type FileContent,
  type LogLine,
  type TimeoutAction,
  box,
  boxEvent,
  limits,
  logLine,
  task,
  taskList,
} from '@citb/api';
import { Checkpoints } from './checkpoints.ts';
import type { Connection } from './connection.ts';
import { type ExecOptions, type ExecResult, Processes } from './exec.ts';
import { Files } from './files.ts';
import { type EventOptions, followEvents } from './follow.ts';
import { readLines } from './lines.ts';
import { Task, type TaskInfo } from './task.ts';
import { Terminal, type TerminalOptions } from './terminal.ts';
import { randomUUID } from 'node:crypto';

export type { BoxEvent, BoxInfo };

/** What can be changed of a box; what is left out stays as it is. */
export interface BoxChange {
  /** In place of all labels it has. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Paused after so many seconds without activity of its own; 0: never. */
  readonly idleS?: number | undefined;
  /** Not paused for being idle before this moment; null: no such moment. */
  readonly keepAliveUntil?: Date | null | undefined;
  /** Seconds from now until `onTimeout`; null: no end. */
  readonly timeoutS?: number | null | undefined;
  readonly onTimeout?: TimeoutAction | undefined;
}

export interface RunOptions {
  /** Path in the workspace -> content; written when the task begins. */
  readonly files?: Readonly<Record<string, FileContent | Uint8Array>> | undefined;
  /** Earlier messages in Anthropic's form: the task starts from just these. */
  readonly context?: readonly ContextMessage[] | undefined;
  /** Default: the box's own, `main`. */
  readonly conversation?: string | undefined;
  readonly model?: string | undefined;
  /** Anthropic key for this box from now on. Stays on the host; never enters the box. */
  readonly anthropicKey?: string | undefined;
  /** Added to the agent's system prompt. */
  readonly systemPrompt?: string | undefined;
  readonly maxTurns?: number | undefined;
  readonly maxBudgetUsd?: number | undefined;
  /** The task is interrupted after it, seconds. */
  readonly timeoutS?: number | undefined;
  /** The same key again is the same task. Made anew for each call when left out. */
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ForkOptions {
  readonly id?: string | undefined;
  /** Whose box the fork is; nobody's when left out. */
  readonly userId?: string | undefined;
  /** Default: those of the source. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Default: that of the source, with its Anthropic key. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Id of a checkpoint to begin from. Default: the box as it is now. */
  readonly checkpoint?: string | undefined;
  /** The same key again is the same fork. Made anew for each call when left out. */
  readonly idempotencyKey?: string | undefined;
}

/** Copying a large disk takes minutes, ms. */
const forkWithinMs = 20 * 60_000;

/**
 * One user's computer. A box lives until it is killed: `await using` kills it at the end of its scope; hold it in a plain
 * `const` when it shall stay.
 */
export class Box implements AsyncDisposable {
  readonly id: string;
  readonly files: Files;
  readonly processes: Processes;
  readonly checkpoints: Checkpoints;
  /** As the host described it last: see {@link refresh}. */
  info: BoxInfo;
  readonly #connection: Connection;
  readonly #path: string;

  constructor(connection: Connection, info: BoxInfo) {
    this.#connection = connection;
    this.id = info.id;
    this.info = info;
    this.#path = `/v1/boxes/${encodeURIComponent(info.id)}`;
    this.files = new Files(connection, info.id);
    this.processes = new Processes(connection, info.id);
    this.checkpoints = new Checkpoints(connection, info.id);
  }

  /** Asks the host for the present state. @throws ApiError `box_not_found` */
  async refresh(): Promise<BoxInfo> {
    this.info = await this.#connection.json(this.#path, box);
    return this.info;
  }

  /** Puts memory and processes on the host's disk: it then costs no memory and no CPU. The next request wakes it. @throws ApiError `box_not_running`, `pause_failed` */
  async pause(): Promise<BoxInfo> {
    return this.#act('pause');
  }

  /** Resolves when it runs: as it was when it was paused, or booted from its disk. @throws ApiError `host_full`, `box_failed` */
  async resume(): Promise<BoxInfo> {
    return this.#act('resume');
  }

  /** Shuts its system down; files and conversations stay, processes do not. The next request boots it. @throws ApiError */
  async stop(): Promise<BoxInfo> {
    return this.#act('stop');
  }

  /** Changes labels, idle time or lifetime; does not wake it. @throws ApiError `invalid_request` */
  async update(change: BoxChange): Promise<BoxInfo> {
    const { labels, idleS, keepAliveUntil, timeoutS, onTimeout } = change;
    const json = {
      labels,
      idle_s: idleS,
      keep_alive_until: keepAliveUntil?.toISOString() ?? keepAliveUntil,
      timeout_s: timeoutS,
      on_timeout: onTimeout,
    };
    this.info = await this.#connection.json(this.#path, box, { method: 'PATCH', json });
    return this.info;
  }

  /**
   * What happens to the box, as it happens; what already happened comes first. Ends when it is killed. Goes on by itself after a
   * broken connection; neither wakes the box nor keeps it awake.
   */
  events(options: EventOptions = {}): AsyncGenerator<BoxEvent, void, void> {
    return followEvents(this.#connection, `${this.#path}/events`, boxEvent, ({ type }) => type === 'killed', options);
  }

  /** Gives the agent a piece of work; resolves when the host has it safely. @throws ApiError `no_agent`, `no_model_key`, `queue_full` */
  async run(prompt: string, options: RunOptions = {}): Promise<Task> {
    const info = await this.#connection.json(`${this.#path}/tasks`, task, {
      method: 'POST',
      json: wireTask(prompt, options),
      headers: options.anthropicKey === undefined ? {} : { 'x-anthropic-key': options.anthropicKey },
      idempotencyKey: options.idempotencyKey ?? randomUUID(),
      signal: options.signal,
    });
    return this.task(info.id);
  }

  /** A task that was started before; nothing is asked of the host yet. */
  task(id: string): Task {
    return new Task(this.#connection, this.id, id);
  }

  /** Its tasks, page by page: give `next` as `cursor`. */
  async tasks(query: { readonly limit?: number; readonly cursor?: string } = {}): Promise<{ tasks: TaskInfo[]; next: string | null }> {
    return this.#connection.json(`${this.#path}/tasks`, taskList, { query });
  }

  /** Runs a command to its end: a string for `bash -lc`, or program and arguments. Streams: `box.processes.stream`. */
  async exec(command: ExecRequest['command'], options: ExecOptions = {}): Promise<ExecResult> {
    return this.processes.exec(command, options);
  }

  /** A terminal, opened or joined. */
  async terminal(options: TerminalOptions = {}): Promise<Terminal> {
    return Terminal.open(this.#connection, `${this.#path}/terminal`, options);
  }

  /** Console and host lines of the box; with `follow` those to come, until the signal. */
  logs(
    options: { readonly tail?: number; readonly follow?: boolean; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<LogLine, void, void> {
    const { tail, follow, signal } = options;
    return readLines(this.#connection, `${this.#path}/logs`, logLine, {
      query: { tail, follow },
      signal,
      silenceMs: limits.heartbeatMs * 3,
    });
  }

  /**
   * Another box that is this one in all: disk, running processes, agent and conversation. From then on neither knows of the other.
   * @throws ApiError `box_exists`, `checkpoint_not_found`, `host_full`
   */
  async fork(options: ForkOptions = {}): Promise<Box> {
    const { id, userId, labels, env, checkpoint, idempotencyKey = randomUUID() } = options;
    const info = await this.#connection.json(`${this.#path}/fork`, box, {
      method: 'POST',
      json: { id, user_id: userId, labels, env_vars: env, checkpoint },
      idempotencyKey,
      answerWithinMs: forkWithinMs,
    });
    return new Box(this.#connection, info);
  }

  /** Ends the box: its machine, its disk, its tasks. Nothing of it is left. @throws ApiError `box_not_found` */
  async kill(): Promise<void> {
    await this.#connection.none(this.#path, { method: 'DELETE' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #act(verb: 'pause' | 'resume' | 'stop'): Promise<BoxInfo> {
    // Done again it changes nothing, so a broken connection may repeat it.
    const request = { method: 'POST', idempotencyKey: randomUUID() } as const;
    this.info = await this.#connection.json(`${this.#path}/${verb}`, box, request);
    return this.info;
  }
}

function wireTask(prompt: string, options: RunOptions): Record<string, unknown> {
  const files = Object.entries(options.files ?? {}).map(([path, content]) => [
    path,
    content instanceof Uint8Array ? { base64: Buffer.from(content).toString('base64') } : content,
  ]);
  return {
    prompt,
    files: Object.fromEntries(files) as Record<string, FileContent>,
    context: options.context,
    conversation: options.conversation,
    model: options.model,
    system_prompt: options.systemPrompt,
    max_turns: options.maxTurns,
    max_budget_usd: options.maxBudgetUsd,
    timeout_s: options.timeoutS,
  };
}
