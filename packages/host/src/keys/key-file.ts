import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';

/**
 * The secret text of a file that only its owner may read; made when it is missing.
 * Two processes at once get the same secret: the file appears whole, and the second one takes what the first one wrote.
 * @param bytes of chance in a new secret, written as hex
 * @throws when the file cannot be read or is empty
 */
export function readOrMakeKeyFile(path: string, bytes: number): string {
  const fresh = `${path}.${randomBytes(6).toString('hex')}`;
  if (readIfThere(path) === undefined) {
    writeFileSync(fresh, `${randomBytes(bytes).toString('hex')}\n`, { mode: 0o600, flush: true });
    try {
      linkSync(fresh, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      unlinkSync(fresh);
    }
  }
  const secret = readFileSync(path, 'utf8').trim();
  if (secret === '') throw new Error(`the key file ${path} is empty`);
  // A restored backup may have lost the mode.
  chmodSync(path, 0o600);
  return secret;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
