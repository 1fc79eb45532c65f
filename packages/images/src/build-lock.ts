import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { ImageError } from './image-error.ts';

/** Releases the lock; safe to call twice. */
export interface BuildLock extends AsyncDisposable {}

/**
 * The one lock for building images in a data directory, across processes. flock(1) holds it in a child whose stdin is a
 * pipe from this process: the kernel closes the pipe when this process ends in whatever way, and the lock is free.
 * @param onWait called once when somebody else holds it
 */
export async function buildLock(file: string, onWait: () => void): Promise<BuildLock> {
  const child = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  let complaint = '';
  child.stderr.on('data', (piece: Buffer) => (complaint += piece.toString()));
  const waiting = new AbortController();
  void delay(300, undefined, { signal: waiting.signal }).then(onWait, () => undefined);
  try {
    const held = once(child.stdout, 'data').then(() => true);
    if (await Promise.race([held, ended.then(() => false)])) {
      return {
        async [Symbol.asyncDispose]() {
          child.stdin.end();
          await ended;
        },
      };
    }
  } catch (error) {
    throw new ImageError('The build lock cannot be taken.', 'flock is missing: sudo apt-get install util-linux', [], error);
  } finally {
    waiting.abort();
  }
  throw new ImageError(`The build lock ${file} cannot be taken.`, 'Check that the data directory can be written.', [complaint.trim()]);
}
