import { access, constants, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runtimes } from '@citb/api';
import { mebibytes } from '../render/index.ts';
import { type Finding, failure, ok, warning } from './check.ts';

/** Base, four runtimes and the room that their builds need, as measured: about 6 GiB. */
const neededMib = 8 * 1024;

/** The data directory: there or possible, writable, with room. */
export async function checkDataDirectory(path: string): Promise<Finding> {
  const there = await existing(path);
  const writable = await access(there, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable)
    return failure(
      'data',
      `${path} cannot be written by this user`,
      'Run the host as its owner, or set CITB_DATA_DIR to a folder of yours.',
    );
  const { bavail, bsize } = await statfs(there);
  const freeMib = Math.floor((bavail * bsize) / 1024 / 1024);
  const found = `${path}${there === path ? '' : ' (made at the first start)'}, ${mebibytes(freeMib)} free`;
  return freeMib < neededMib
    ? warning('data', found, `Images and boxes want ${mebibytes(neededMib)}: free some, or set CITB_DATA_DIR to a larger disk.`)
    : ok('data', found);
}

/** Which runtimes are built. A changed recipe is noticed by the host, not here. */
export async function checkImages(dataDirectory: string): Promise<Finding> {
  const names = await readdir(join(dataDirectory, 'images', 'artifacts')).catch(() => []);
  const built = runtimes.filter((runtime) => names.some((name) => name.startsWith(`root-${runtime}-`)));
  const missing = runtimes.filter((runtime) => !built.includes(runtime));
  const todo = `The first box of ${missing.join(', ')} builds it (minutes); beforehand: npm run setup.`;
  if (built.length === 0) return warning('images', 'none is built yet', todo);
  return missing.length === 0 ? ok('images', `built: ${built.join(', ')}`) : warning('images', `built: ${built.join(', ')}`, todo);
}

/** The nearest folder on the way that is there. */
async function existing(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const there = await stat(folder).then(
      () => true,
      () => false,
    );
    if (there || folder === dirname(folder)) return folder;
  }
}
