import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type ExecEvent } from '@citb/api';
import { Signal } from '@citb/api/gen/process_pb.js';
import { processError, type ProcessClient } from '../guest/connect.ts';
import { guestText, unreachable } from '../guest/errors.ts';
import type { NewProcess } from '../services.ts';
import { nextEvent, outputOf, type ProcessMessage, type ProcessStream } from './output.ts';
import { programOf } from './shell.ts';
import { feedInput, selector } from './stdin.ts';

/** A foreground process may run this long unless its caller says otherwise, in s. */
const defaultTimeoutS = 3600;
/** After SIGKILL the end is expected within this, in ms. */
const killedMs = 10_000;
/** Small requests to the process service, in ms. */
export const callMs = 30_000;

/** A process that has begun. */
export interface Started {
  readonly pid: number;
  readonly stream: ProcessStream;
}

/**
 * Starts a process. It outlives the stream.
 * @param timeoutMs after which the guest itself kills it, whoever still listens; undefined: never
 * @throws ApiError `invalid_request` when there is no such program, folder or user
 */
export async function start(client: ProcessClient, command: NewProcess, signal: AbortSignal, timeoutMs?: number): Promise<Started> {
  const { cmd, args } = programOf(command.command);
  const stdin = command.keepStdin || command.stdin !== undefined;
  const process = { cmd, args, envs: { ...command.env }, ...(command.cwd === undefined ? {} : { cwd: command.cwd }) };
  return begin(client.start({ process, stdin }, timeoutMs === undefined ? { signal } : { signal, timeoutMs }), 'program');
}

/** Waits for the start event of envd's Start or Connect. */
export async function begin(responses: AsyncIterable<ProcessMessage>, missing: 'process' | 'program'): Promise<Started> {
  const stream = responses[Symbol.asyncIterator]();
  try {
    for (;;) {
      const event = await nextEvent(stream);
      if (event?.case === 'start') return { pid: event.value.pid, stream };
      if (event?.case === 'end') throw new ApiError('invalid_request', guestText(event.value.error ?? event.value.status));
      if (event?.case !== 'keepalive') throw unreachable(undefined, 'The box did not say whether the process began.');
    }
  } catch (error) {
    throw processError(error, missing);
  }
}

export async function kill(client: ProcessClient, pid: number): Promise<void> {
  try {
    await client.sendSignal({ process: selector(pid), signal: Signal.SIGKILL }, { timeoutMs: callMs });
  } catch {
    // It has ended, or its guest is gone with it.
  }
}

/** A process in the foreground: it ends when its caller leaves, or after its time. */
export async function* exec(client: ProcessClient, command: NewProcess, signal: AbortSignal): AsyncGenerator<ExecEvent> {
  const connection = new AbortController();
  // Not tied to the caller: who leaves in this moment must not leave a process behind that nobody knows.
  const { pid, stream } = await start(client, command, connection.signal);
  let timedOut = false;
  let ended = false;
  const expire = async (): Promise<void> => {
    timedOut = true;
    await kill(client, pid);
    await sleep(killedMs, undefined, { signal: connection.signal }).catch(() => undefined);
    connection.abort();
  };
  const timer = setTimeout(() => void expire(), (command.timeoutS ?? defaultTimeoutS) * 1000);
  const leave = (): void => connection.abort();
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  try {
    yield { type: 'start', pid };
    if (command.stdin !== undefined) void feedInput(client, pid, { data: command.stdin, close: !command.keepStdin }, connection.signal);
    ended = yield* outputOf(stream, () => timedOut);
    if (!ended) throw unreachable(undefined, 'The box ended the output without an exit.');
  } catch (error) {
    if (signal.aborted) return;
    if (!timedOut) throw processError(error, 'process');
    const failure = `It did not end within ${killedMs / 1000} s after SIGKILL.`;
    yield { type: 'exit', exit_code: null, signal: 'SIGKILL', timed_out: true, error: failure };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', leave);
    connection.abort();
    if (!ended) await kill(client, pid);
  }
}
