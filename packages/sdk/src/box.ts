import {
  type Box as BoxInfo,
  type ContextMessage,
  type ExecRequest,
  type FileContent,
  type LogLine,
  box,
  limits,
  logLine,
  task,
  taskList,
} from '@citb/api';
import type { Connection } from './connection.ts';
import { type ExecOptions, type ExecResult, Processes } from './exec.ts';
import { Files } from './files.ts';
import { readLines } from './lines.ts';
import { Task, type TaskInfo } from './task.ts';
import { Terminal, type TerminalOptions } from './terminal.ts';
import { randomUUID } from 'node:crypto';

export type { BoxInfo };

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

/**
 * One user's computer. A box lives until it is killed: `await using` kills it at the end of its scope; hold it in a plain
 * `const` when it shall stay.
 */
export class Box implements AsyncDisposable {
  readonly id: string;
  readonly files: Files;
  readonly processes: Processes;
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
  }

  /** Asks the host for the present state. @throws ApiError `box_not_found` */
  async refresh(): Promise<BoxInfo> {
    this.info = await this.#connection.json(this.#path, box);
    return this.info;
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

  /** Ends the box: its machine, its disk, its tasks. Nothing of it is left. @throws ApiError `box_not_found` */
  async kill(): Promise<void> {
    await this.#connection.none(this.#path, { method: 'DELETE' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
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
