import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes that the files of a box's folder really take on the host (disks are sparse). A folder that is gone takes none. */
export async function diskUse(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    names.map(async (name) =>
      lstat(join(folder, name)).then(
        // st_blocks counts units of 512 bytes, whatever the file system's own are.
        (entry) => (entry.isFile() ? entry.blocks * 512 : 0),
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
