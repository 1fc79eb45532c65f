import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { freshUuid } from '../fresh-uuid.ts';

/**
 * Writes a whole file so that after a crash either the old or the new content is there.
 * @throws what the file system says (ENOSPC, EROFS, …); nothing is left of the attempt
 */
export async function writeDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.${freshUuid()}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Names in a folder are on the disk only when the folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** True for the errors of a full disk. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
