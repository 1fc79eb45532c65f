import { ApiError } from '@citb/api';
import type { ProcessConfig } from '@citb/api/gen/process_pb.js';
import { startChild } from './child.ts';
import { Output } from './output.ts';
import type { Flush } from '../../flush.ts';
import type { Pipes } from './pipes.ts';
import type { Command, End, Program, ProgramEvents } from './program.ts';
import { type Size, startTerminal } from './terminal.ts';

/** Processes that run at once through envd. */
export const maxRunning = 256;
/** Ended processes that can still be connected to, and for how long, in ms. */
export const maxEnded = 100;
export const endedMs = 10 * 60_000;

/** Input that waits for programs which do not read, of one process, in bytes. */
const maxPendingInput = 64 * 1024 * 1024;

export interface NewProcess {
  readonly command: Command;
  /** As the caller stated it, for List. */
  readonly config: ProcessConfig;
  readonly tag: string | undefined;
  readonly io: { readonly kind: 'pipes'; readonly input: boolean } | { readonly kind: 'terminal'; readonly size: Size };
}

/** A process that was started here: it runs on, whoever listens. */
export class RunningProcess {
  readonly config: ProcessConfig;
  readonly tag: string | undefined;
  readonly terminal: boolean;
  readonly output: Output;
  readonly program: Program;
  /** How it ended; undefined while it runs. */
  end: End | undefined;
  #pendingInput = 0;

  constructor({ config, tag, io }: NewProcess, program: Program, output: Output) {
    this.config = config;
    this.tag = tag;
    this.terminal = io.kind === 'terminal';
    this.program = program;
    this.output = output;
  }

  get pid(): number {
    return this.program.pid;
  }

  /** Resolves when the process has taken it. @throws ApiError `queue_full` when too much waits already */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#pendingInput + bytes.byteLength > maxPendingInput) throw new ApiError('queue_full', 'The process does not read its input.');
    this.#pendingInput += bytes.byteLength;
    try {
      await this.program.write(bytes);
    } finally {
      this.#pendingInput -= bytes.byteLength;
    }
  }
}

export type Selector = { readonly pid: number } | { readonly tag: string };

/** All processes of this envd: those that run, and for a while those that have ended. */
export class Processes {
  readonly #running = new Set<RunningProcess>();
  readonly #ended = new Map<RunningProcess, NodeJS.Timeout>();
  readonly #pipes: Pipes;
  readonly #flush: Flush;
  #starting = 0;

  constructor(pipes: Pipes, flush: Flush) {
    this.#pipes = pipes;
    this.#flush = flush;
  }

  get running(): readonly RunningProcess[] {
    return [...this.#running];
  }

  /** @throws ApiError `queue_full`; the system error when it cannot be started */
  async start(request: NewProcess): Promise<RunningProcess> {
    if (this.#running.size + this.#starting >= maxRunning)
      throw new ApiError('queue_full', `${maxRunning} processes run already.`, { hint: 'Wait for one to end.' });
    this.#starting += 1;
    try {
      return await this.#launch(request);
    } finally {
      this.#starting -= 1;
    }
  }

  /** A process that runs, else the latest that has ended. */
  find(selector: Selector): RunningProcess | undefined {
    const fits = (each: RunningProcess): boolean => ('pid' in selector ? each.pid === selector.pid : each.tag === selector.tag);
    return [...this.#running].findLast(fits) ?? [...this.#ended.keys()].findLast(fits);
  }

  /** Forgets what has ended. */
  close(): void {
    for (const timer of this.#ended.values()) clearTimeout(timer);
    this.#ended.clear();
  }

  async #launch(request: NewProcess): Promise<RunningProcess> {
    const started = Promise.withResolvers<RunningProcess>();
    let program: Program | undefined;
    const output = new Output((held) => program?.hold(held));
    const events: ProgramEvents = {
      output: (channel, bytes) => output.append(channel, bytes),
      ended: (end) => void started.promise.then((process) => this.#finish(process, end)).catch(() => undefined),
    };
    try {
      program = await (request.io.kind === 'terminal'
        ? startTerminal(request.command, request.io.size, events)
        : startChild(request.command, request.io.input, this.#pipes, events));
    } catch (error) {
      output.end();
      throw error;
    }
    const process = new RunningProcess(request, program, output);
    this.#running.add(process);
    started.resolve(process);
    return process;
  }

  /** Who hears of the end may rely on what the process wrote. */
  async #finish(process: RunningProcess, end: End): Promise<void> {
    process.end = end;
    await this.#flush();
    process.output.end();
    this.#running.delete(process);
    this.#ended.set(process, setTimeout(() => this.#ended.delete(process), endedMs).unref());
    for (const [oldest, timer] of this.#ended) {
      if (this.#ended.size <= maxEnded) break;
      clearTimeout(timer);
      this.#ended.delete(oldest);
    }
  }
}
