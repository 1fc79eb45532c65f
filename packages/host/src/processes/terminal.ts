import { processError, type ProcessClient } from '../guest/connect.ts';
import { unreachable } from '../guest/errors.ts';
import type { Terminal } from '../services.ts';
import { begin, callMs, type Started } from './exec.ts';
import { exitOf } from './exit.ts';
import { nextEvent, type ProcessStream } from './output.ts';
import { terminalProgram } from './shell.ts';
import { isGone, selector, writeInput } from './stdin.ts';

export interface TerminalOptions {
  readonly cols: number;
  readonly rows: number;
  /** A terminal that is open. */
  readonly pid?: number;
}

/** Opens a terminal with a login shell, or joins one. Its program goes on when the signal aborts. */
export async function openTerminal(client: ProcessClient, { cols, rows, pid }: TerminalOptions, signal: AbortSignal): Promise<Terminal> {
  const resize = async (newCols: number, newRows: number, of: number): Promise<void> => {
    await client.update({ process: selector(of), pty: { size: { cols: newCols, rows: newRows } } }, { timeoutMs: callMs });
  };
  let started: Started;
  if (pid === undefined) {
    const process = { ...terminalProgram, envs: { TERM: 'xterm-256color' } };
    started = await begin(client.start({ process, pty: { size: { cols, rows } } }, { signal }), 'program');
  } else {
    started = await begin(client.connect({ process: selector(pid) }, { signal }), 'process');
    await resize(cols, rows, started.pid).catch((error: unknown) => {
      throw processError(error, 'process');
    });
  }
  const exit = Promise.withResolvers<number | null>();
  // Whoever reads the output is told of a failure there.
  exit.promise.catch(() => undefined);
  return {
    pid: started.pid,
    exitCode: exit.promise,
    output: readOutput(started.stream, exit),
    write: (data) => quietly(writeInput(client, started.pid, 'pty', data, signal)),
    resize: (newCols, newRows) => quietly(resize(newCols, newRows, started.pid)),
  };
}

async function* readOutput(stream: ProcessStream, exit: PromiseWithResolvers<number | null>): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const event = await nextEvent(stream);
      if (event === undefined) throw unreachable(undefined, 'The box ended the terminal without an exit.');
      if (event.case === 'data' && event.value.output.case !== undefined) yield event.value.output.value;
      if (event.case === 'end') return exit.resolve(exitOf(event.value, false).exit_code);
    }
  } catch (error) {
    const known = processError(error, 'process');
    exit.reject(known);
    throw known;
  }
}

/** A key that is typed while the program ends is no failure: its exit is on the way. */
async function quietly(call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isGone(error)) throw processError(error, 'process');
  }
}
