import { type ExecEvent, type ExecRequest, type ProcessEntry, backgroundProcess, execEvent, limits, processListing } from '@citb/api';
import type { Connection } from './connection.ts';
import { ConnectionError } from './errors.ts';
import { readLines } from './lines.ts';

export interface CommandOptions {
  /** Default /workspace. */
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Default `user`. */
  readonly user?: string | undefined;
  /** Written to the command's stdin, which is then closed. */
  readonly stdin?: string | Uint8Array | undefined;
  /** The command is killed after it, seconds. Default 3600; background: none. */
  readonly timeoutS?: number | undefined;
}
export interface ExecOptions extends CommandOptions {
  readonly signal?: AbortSignal | undefined;
}

export type ExecExit = Extract<ExecEvent, { type: 'exit' }>;

/** What a finished command left. */
export interface ExecResult {
  /** `null` when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a running command says: bytes as they come, `exit` last. */
export type CommandOutput =
  | { readonly type: 'start'; readonly pid: number }
  | { readonly type: 'stdout' | 'stderr'; readonly data: Buffer }
  | ExecExit;

/** Bytes that {@link exec} keeps of each stream; more belongs in a stream or a file. */
const keptBytes = 64 * 1024 * 1024;
const silenceMs = limits.heartbeatMs * 3;

/** Processes in a box: those that the SDK starts and all others. */
export class Processes {
  readonly #connection: Connection;
  readonly #box: string;

  constructor(connection: Connection, boxId: string) {
    this.#connection = connection;
    this.#box = `/v1/boxes/${encodeURIComponent(boxId)}`;
  }

  /** Every process of the box. */
  async list(): Promise<ProcessEntry[]> {
    return (await this.#connection.json(`${this.#box}/processes`, processListing)).processes;
  }

  /** Runs a command to its end. @throws ApiError; RangeError when it prints more than 64 MiB */
  async exec(command: ExecRequest['command'], options: ExecOptions = {}): Promise<ExecResult> {
    const kept = { stdout: new Kept(), stderr: new Kept() };
    for await (const output of this.stream(command, options)) {
      if (output.type === 'stdout' || output.type === 'stderr') kept[output.type].add(output.data);
      if (output.type === 'exit') {
        if (output.error !== null) throw new ConnectionError('unreachable', output.error);
        const { exit_code: exitCode, signal, timed_out: timedOut } = output;
        return { exitCode, signal, timedOut, stdout: kept.stdout.text(), stderr: kept.stderr.text() };
      }
    }
    throw endedEarly();
  }

  /**
   * Runs a command and gives its output as it comes. Leaving the loop kills the command. With `keepStdin` its stdin stays open
   * for {@link write}.
   */
  stream(
    command: ExecRequest['command'],
    options: ExecOptions & { readonly keepStdin?: boolean } = {},
  ): AsyncGenerator<CommandOutput, void, void> {
    const json = { ...wireCommand(command, options), keep_stdin: options.keepStdin ?? false };
    return this.#output(`${this.#box}/exec`, { method: 'POST', json, signal: options.signal });
  }

  /** Starts a command and leaves it running. @throws ApiError */
  async start(command: ExecRequest['command'], options: CommandOptions = {}): Promise<{ pid: number }> {
    const json = { ...wireCommand(command, options), background: true };
    return this.#connection.json(`${this.#box}/exec`, backgroundProcess, { method: 'POST', json });
  }

  /** Output of a command that {@link start} began: what was kept, then what comes. @throws ApiError `process_not_found` */
  output(pid: number, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<CommandOutput, void, void> {
    return this.#output(`${this.#box}/processes/${pid}/output`, { signal: options.signal });
  }

  /** Writes to the stdin of a command begun with `keepStdin`, or closes it. @throws ApiError `process_not_found` */
  async write(pid: number, data: string | Uint8Array | undefined, options: { readonly close?: boolean } = {}): Promise<void> {
    const json = { ...(data === undefined ? {} : { data: wireBytes(data) }), close: options.close ?? false };
    await this.#connection.none(`${this.#box}/processes/${pid}/stdin`, { method: 'POST', json });
  }

  /** @throws ApiError `process_not_found` */
  async kill(pid: number, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#connection.none(`${this.#box}/processes/${pid}/signal`, { method: 'POST', json: { signal } });
  }

  async *#output(path: string, request: Parameters<typeof readLines>[3]): AsyncGenerator<CommandOutput, void, void> {
    for await (const event of readLines(this.#connection, path, execEvent, { ...request, silenceMs })) {
      if (event.type === 'heartbeat') continue;
      if (event.type === 'stdout' || event.type === 'stderr') {
        yield { type: event.type, data: Buffer.from(event.data, event.encoding) };
        continue;
      }
      yield event;
      if (event.type === 'exit') return;
    }
    throw endedEarly();
  }
}

/** What is kept of one stream. */
class Kept {
  readonly #chunks: Buffer[] = [];
  #size = 0;

  add(chunk: Buffer): void {
    this.#size += chunk.byteLength;
    if (this.#size > keptBytes)
      throw new RangeError(`The command prints more than ${keptBytes} bytes: read it with box.processes.stream().`);
    this.#chunks.push(chunk);
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}

function wireCommand(command: ExecRequest['command'], options: CommandOptions): ExecRequest {
  const { cwd, env, user, stdin, timeoutS } = options;
  return {
    command,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(user === undefined ? {} : { user }),
    ...(stdin === undefined ? {} : { stdin: wireBytes(stdin) }),
    ...(timeoutS === undefined ? {} : { timeout_s: timeoutS }),
  };
}

function wireBytes(data: string | Uint8Array): string | { base64: string } {
  return typeof data === 'string' ? data : { base64: Buffer.from(data).toString('base64') };
}

function endedEarly(): ConnectionError {
  return new ConnectionError('unreachable', 'The connection to the command broke before it ended.', {
    hint: 'A command dies with its connection; start long ones in the background.',
  });
}
