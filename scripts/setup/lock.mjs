import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { SetupError, say } from './say.mjs';

/**
 * Runs `work` while no other process of this clone sets anything up. flock(1) holds the lock in a child that ends with its
 * stdin, thus with this process, whatever ends it.
 */
export async function exclusively(file, work) {
  mkdirSync(dirname(file), { recursive: true });
  const child = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const patience = setTimeout(() => say('Waiting for another set-up of this clone ...'), 500);
  try {
    const held = await Promise.race([once(child.stdout, 'data').then(() => true), once(child, 'exit').then(() => false)]).catch(
      () => false,
    );
    if (!held)
      throw new SetupError(
        'The set-up lock cannot be taken: flock is missing (sudo apt-get install util-linux) or .cache/ cannot be written.',
      );
    clearTimeout(patience);
    return await work();
  } finally {
    clearTimeout(patience);
    child.stdin.end();
  }
}
