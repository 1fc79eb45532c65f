import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '@citb/api';
import type { Admission } from '../boxes/admission.ts';

/** st_blocks counts units of 512 bytes, whatever the file system's own are. */
const blockBytes = 512;

/** Bytes that a file really takes; 0 when it is not there. */
export async function takenBytes(path: string): Promise<number> {
  return await lstat(path).then(
    (entry) => entry.blocks * blockBytes,
    () => 0,
  );
}

/** Bytes that the files below a folder take; of one that has other names too, its share. A folder that is gone takes none. */
export async function takenBelow(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const entries = await Promise.all(names.map((name) => lstat(join(folder, name)).catch(() => undefined)));
  return Math.round(
    entries.reduce((sum, entry) => sum + (entry?.isFile() === true ? (entry.blocks * blockBytes) / Math.max(1, entry.nlink) : 0), 0),
  );
}

/** @throws host_disk_full when `bytes` more would leave less than the host's reserve */
export function checkRoom(admission: Admission, bytes: number): void {
  const free = admission.diskFreeMib - Math.ceil(bytes / 1024 / 1024);
  if (free < admission.limits.diskReserveMib)
    throw new ApiError(
      'host_disk_full',
      `This takes ${Math.ceil(bytes / 1024 / 1024)} MiB of disk, and ${Math.max(0, admission.diskFreeMib - admission.limits.diskReserveMib)} MiB are free for boxes.`,
    );
}
