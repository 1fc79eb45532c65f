import type { ChildProcess } from 'node:child_process';
import { isAlive, type ProcessIdentity } from './process.ts';
import type { VmExit } from './vmm.ts';

/** How soon the end of an adopted process is noticed at the latest, in ms. */
const pollMs = 200;

export interface ExitWatch {
  readonly exited: Promise<VmExit>;
  readonly over: boolean;
  /** From now on the end is one that was asked for. */
  expect(): void;
  /** Look now: a socket of the process has just closed. */
  check(): void;
}

/**
 * Notices the end of a VMM process: by the child's own event, or, for one that an earlier daemon started (which is nobody's
 * child here), by looking at /proc. Keeps no event loop alive.
 */
export function watchExit(process: ProcessIdentity, child?: ChildProcess): ExitWatch {
  const { promise, resolve } = Promise.withResolvers<VmExit>();
  let expected = false;
  let over = false;
  const end = (code: number | undefined, signal: string | undefined) => {
    over = true;
    resolve({ code, signal, expected });
  };
  const check = () => {
    // A child's end is told by its own event, with the exit code.
    if (child !== undefined || over || isAlive(process)) return;
    clearInterval(timer);
    end(undefined, undefined);
  };
  const timer = child === undefined ? setInterval(check, pollMs).unref() : undefined;
  child?.once('exit', (code, signal) => end(code ?? undefined, signal ?? undefined));
  return {
    exited: promise,
    get over() {
      return over;
    },
    expect: () => {
      expected = true;
      // Whoever asks for the end waits for it: the event must still come when nothing else keeps this process.
      child?.ref();
    },
    check,
  };
}
