import { type FileHandle, rename, rmdir, unlink } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import { freshUuid } from '../fresh-uuid.ts';
import { errno } from './fault.ts';
import { readNames } from './names.ts';
import { type Ground, at, openChildFolder, openPlace, splitLast, syncFolder } from './place.ts';

/** Folders are entered this deep; what is deeper is first moved up, so that no depth can use up the descriptors. */
const enterDepth = 32;

/** Names read of a folder before they are removed and the next ones are read. */
const namesAtOnce = 4096;

/** A folder that somebody keeps filling is given up after this many rounds. */
const maxRounds = 10_000;

/**
 * Removes a file, link (not what it points to), special file or folder.
 * @param recursive with all that is in it; else a folder must be empty
 * @throws ApiError `file_exists` for a folder that is not empty, `invalid_path` for the root
 */
export async function remove(ground: Ground, path: string | Buffer, recursive: boolean): Promise<void> {
  if (path.length === 0) throw new ApiError('invalid_path', 'The root folder cannot be removed.');
  const { parent, name } = splitLast(path);
  await using folder = await openPlace(ground, parent, { follow: true, directory: true });
  if (!(await removeShallow(folder.handle, name))) {
    if (!recursive)
      throw new ApiError('file_exists', `The folder "${path.toString().slice(0, 300)}" is not empty.`, { hint: 'Give recursive=true.' });
    const lifted: string[] = [];
    await removeFolder(folder.handle, folder.handle, name, 0, lifted);
    for (let next = lifted.pop(); next !== undefined; next = lifted.pop())
      await removeFolder(folder.handle, folder.handle, next, 0, lifted);
  }
  await syncFolder(folder.handle);
}

/** Empties and removes a folder. Folders that are too deep are moved to `top` and named in `lifted`. */
async function removeFolder(top: FileHandle, parent: FileHandle, name: string | Buffer, depth: number, lifted: string[]): Promise<void> {
  for (let round = 0; round < maxRounds; round += 1) {
    try {
      if (await removeShallow(parent, name)) return;
      if (depth >= enterDepth) {
        const liftedName = `.${freshUuid()}.citb-removed`;
        await rename(at(parent, name), at(top, liftedName));
        lifted.push(liftedName);
        return;
      }
      await emptyFolder(top, parent, name, depth, lifted);
    } catch (error) {
      if (errno(error) === 'ENOENT') return;
      // It became something else since it was looked at: look again.
      if (errno(error) !== 'ENOTDIR' && errno(error) !== 'ELOOP') throw error;
    }
  }
  throw new ApiError('file_exists', 'The folder is being filled while it is removed.', { hint: 'Stop the program that writes there.' });
}

async function emptyFolder(top: FileHandle, parent: FileHandle, name: string | Buffer, depth: number, lifted: string[]): Promise<void> {
  const folder = await openChildFolder(parent, name);
  try {
    const { names } = await readNames(folder, namesAtOnce);
    for (const child of names) await removeFolder(top, folder, child, depth + 1, lifted);
  } finally {
    await folder.close();
  }
}

/** Removes what is no folder, or an empty one. False: a folder with something in it. */
async function removeShallow(parent: FileHandle, name: string | Buffer): Promise<boolean> {
  try {
    await unlink(at(parent, name));
    return true;
  } catch (error) {
    if (errno(error) !== 'EISDIR') throw error;
  }
  try {
    await rmdir(at(parent, name));
    return true;
  } catch (error) {
    if (errno(error) === 'ENOTEMPTY' || errno(error) === 'EEXIST') return false;
    throw error;
  }
}
