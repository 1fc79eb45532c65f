import { open } from 'node:fs/promises';

/** Waits until a file's content, or a folder's names, are on the disk. @throws what fsync(2) says */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
