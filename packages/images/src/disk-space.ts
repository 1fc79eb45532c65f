import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageError } from './image-error.ts';

/** Bytes that must be free: measured 2.4 GB of images and 2.3 GB of layers for all four runtimes, of which Claude Code's is the half. */
const needed = { first: 4e9, further: 2e9 };

/** @param root the images folder of a data directory @throws ImageError when a build would fill the disk, which the running boxes share */
export async function requireSpace(root: string): Promise<void> {
  const { bavail, bsize } = await statfs(root);
  const begun = await stat(join(root, 'artifacts')).then(
    () => true,
    () => false,
  );
  const free = bavail * bsize;
  const wanted = begun ? needed.further : needed.first;
  if (free >= wanted) return;
  throw new ImageError(
    `Building images needs about ${gigabytes(wanted)}, ${root} has ${gigabytes(free)} free.`,
    'Free some space, or set CITB_DATA_DIR to a folder on a larger disk, then try again.',
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
