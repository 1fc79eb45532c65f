import { chmod, open, rename, rm, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncPath } from '../sync.ts';
import { exists } from './exists.ts';
import { journalMib, layoutOf } from './layout.ts';
import { run } from './run.ts';

/** Private disks: raw sparse files, mode 0600. */
export interface Disks {
  /**
   * Makes the disk at `path` on which `diskMib` MiB can really be written; leaves one that is there alone.
   * The file appears complete and synced or not at all.
   * @throws DiskError in words
   */
  create(path: string, diskMib: number, signal?: AbortSignal): Promise<void>;
  /** Makes `path` a copy of a disk that nobody writes meanwhile: sparse, by reflink where the file system can. As complete as `create`. */
  copy(from: string, path: string, signal?: AbortSignal): Promise<void>;
}

export function createDisks(): Disks {
  return {
    create: (path, diskMib, signal) => appear(path, (unfinished) => format(unfinished, diskMib, signal)),
    copy: (from, path, signal) =>
      appear(path, async (unfinished) => {
        await run('cp', ['--reflink=auto', '--sparse=always', '--no-preserve=all', '--', from, unfinished], { signal });
        await chmod(unfinished, 0o600);
      }),
  };
}

/** Has a file made beside its place, complete and synced; then it is there. */
async function appear(path: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  if (await exists(path)) return;
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  try {
    await make(unfinished);
    await syncPath(unfinished);
    await rename(unfinished, path);
    await syncPath(dirname(path));
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

async function format(path: string, diskMib: number, signal?: AbortSignal): Promise<void> {
  const layout = layoutOf(diskMib);
  const file = await open(path, 'wx', 0o600);
  await file.close();
  await chmod(path, 0o600);
  await truncate(path, layout.totalMib * 1024 * 1024);
  const partitions = [layout.state, layout.data].map(({ startMib, sizeMib }) => `start=${startMib}MiB, size=${sizeMib}MiB, type=83`);
  await run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe=never', path], {
    signal,
    input: `label: dos\n${partitions.join('\n')}\n`,
  });
  await makeFileSystem(path, 'citb-state', layout.state, ['-J', 'size=8'], signal);
  await makeFileSystem(path, 'citb-data', layout.data, ['-J', `size=${journalMib}`], signal);
}

async function makeFileSystem(
  path: string,
  label: string,
  { startMib, sizeMib }: { startMib: number; sizeMib: number },
  journal: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  // A new sparse file reads as zeros: nothing to write now, nothing to write later in the guest. A fixed inode
  // size keeps the overhead that layoutOf reckons with also on small disks; no blocks are kept back for root.
  const options = ['-q', '-F', '-b', '4096', '-I', '256', '-i', '16384', '-m', '0', '-L', label, ...journal];
  const extended = `offset=${startMib * 1024 * 1024},assume_storage_prezeroed=1,nodiscard`;
  await run('mkfs.ext4', [...options, '-E', extended, path, `${sizeMib * 1024}k`], { signal });
}
