import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { guestPaths } from '@citb/api';

/** Puts what was written so far on the disk. Resolves also when that cannot be waited for: it is then late, not lost. */
export type Flush = () => Promise<void>;

/** A disk that takes longer is broken or very busy; nothing waits for it any longer, in ms. */
const patienceMs = 30_000;

/**
 * sync(2) of the guest: files of the agent and of commands are in the page cache, which a machine that is killed takes with it.
 * Those who ask while one runs share the one after it. Outside a guest nothing is done: a developer's machine is not ours to sync.
 */
export function guestFlush(): Flush {
  if (!existsSync(guestPaths.tools)) return () => Promise.resolve();
  const sync = inThread();
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const run = (): Promise<void> => {
    running = sync().finally(() => (running = undefined));
    return running;
  };
  return () => {
    if (running === undefined) return run();
    next ??= running.then(() => {
      next = undefined;
      return run();
    });
    return next;
  };
}

/** The call waits for the disk, so it has a thread of its own; a process each time would cost an emulated guest 0.2 s. */
const thread = `
const { parentPort } = require('node:worker_threads');
const { sync } = require('node:ffi').dlopen(null, { sync: { arguments: [], return: 'void' } }).functions;
parentPort.on('message', () => { sync(); parentPort.postMessage('done'); });
`;

function inThread(): Flush {
  let worker: Worker | undefined;
  return async () => {
    worker ??= new Worker(thread, { eval: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(resolve, patienceMs);
    const failed = (): void => reject(new Error('no foreign functions'));
    worker.ref();
    worker.once('message', () => resolve()).once('error', failed);
    worker.postMessage('sync', []);
    try {
      await promise;
    } catch {
      worker = undefined;
      await byProcess();
    } finally {
      clearTimeout(late);
      worker?.off('error', failed).unref();
    }
  };
}

async function byProcess(): Promise<void> {
  const busybox = `${guestPaths.tools}/bin/busybox`;
  await promisify(execFile)(busybox, ['sync'], { timeout: patienceMs, killSignal: 'SIGKILL' }).catch(() => undefined);
}
