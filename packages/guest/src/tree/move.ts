import { lstat, rename } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import { type TreeEntry, readEntry } from './entry.ts';
import { openFolder } from './folder.ts';
import { type Ground, at, openPlace, splitLast, statIfAny, syncFolder } from './place.ts';

/**
 * Moves a file, folder or link (the link itself). Missing parents of the destination are made.
 * With `overwrite` a file, a link or an empty folder that is there is replaced.
 * Without it, two callers at once can still overwrite: Node has no renameat2(RENAME_NOREPLACE).
 * @throws ApiError `file_exists`, `invalid_path` (into itself), `not_supported` (another file system)
 */
export async function move(ground: Ground, from: string | Buffer, to: string | Buffer, overwrite: boolean): Promise<TreeEntry> {
  const source = splitLast(from);
  const target = splitLast(to);
  await using sourceFolder = await openPlace(ground, source.parent, { follow: true, directory: true });
  await using targetFolder = await openFolder(ground, target.parent);
  const place = at(targetFolder.place.handle, target.name);
  const old = at(sourceFolder.handle, source.name);
  const stats = await lstat(old);
  if (!overwrite && (await statIfAny(place)) !== undefined)
    throw new ApiError('file_exists', `There is already something at "${to.toString().slice(0, 300)}".`);
  await rename(old, place);
  await syncFolder(targetFolder.place.handle);
  await syncFolder(sourceFolder.handle);
  return readEntry(targetFolder.place.handle, target.name, to.toString()) ?? { path: to.toString(), stats };
}
