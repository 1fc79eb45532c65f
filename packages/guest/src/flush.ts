import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { guestPaths } from '@citb/api';

/** Puts what was written so far on the disk. Resolves also when that cannot be waited for: it is then late, not lost. */
export type Flush = () => Promise<void>;

const busybox = `${guestPaths.tools}/bin/busybox`;
/** A disk that takes longer is broken or very busy; nothing waits for it any longer, in ms. */
const patienceMs = 30_000;

/**
 * sync(2) of the guest, by a process because Node has no call for it: files of the agent and of commands are in the page
 * cache, which a machine that is killed takes with it. Those who ask while one runs share the one after it.
 * Outside a guest nothing is done: a developer's machine is not ours to sync.
 */
export function guestFlush(): Flush {
  if (!existsSync(busybox)) return () => Promise.resolve();
  const sync = async (): Promise<void> => {
    await promisify(execFile)(busybox, ['sync'], { timeout: patienceMs, killSignal: 'SIGKILL' }).catch(() => undefined);
  };
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  return () => {
    if (running === undefined) {
      running = sync().finally(() => (running = undefined));
      return running;
    }
    next ??= running.then(() => {
      next = undefined;
      running = sync().finally(() => (running = undefined));
      return running;
    });
    return next;
  };
}
