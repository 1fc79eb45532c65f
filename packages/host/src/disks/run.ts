import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

/** A disk could not be made; the message says which program said what. */
export class DiskError extends Error {
  override readonly name = 'DiskError';
}

/** A minute: formatting a sparse file takes milliseconds, so only something stuck takes longer. */
const deadlineMs = 60_000;

/**
 * Runs one of the disk programs to its end.
 * @throws DiskError with the end of what it said
 */
export async function run(
  program: string,
  args: readonly string[],
  options: { signal?: AbortSignal | undefined; input?: string } = {},
): Promise<void> {
  const signal = AbortSignal.any([AbortSignal.timeout(deadlineMs), ...(options.signal === undefined ? [] : [options.signal])]);
  // The programs are in folders that an ordinary user's PATH lacks on Debian.
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
  const child = spawn(program, args, { signal, env, stdio: ['pipe', 'ignore', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  try {
    const [code, said] = await Promise.all([ended, text(child.stderr)]);
    if (code !== 0) throw new DiskError(`${program} failed: ${said.trim().slice(-500)}`);
  } catch (error) {
    if (error instanceof DiskError) throw error;
    options.signal?.throwIfAborted();
    const reason =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is not installed (packages fdisk and e2fsprogs)' : (error as Error).message;
    throw new DiskError(`${program} could not be run: ${reason}`, { cause: error });
  }
}
