import { ApiError } from '@citb/api';
import { type TreeEntry, readEntry } from './entry.ts';
import { type Ground, openPlace, openRoot, splitLast } from './place.ts';

/** The entry of a path. Its last part is not followed when it is a link. */
export async function statEntry(ground: Ground, path: string | Buffer): Promise<TreeEntry> {
  if (path.length === 0) {
    await using root = await openRoot(ground);
    return { path: '', stats: await root.handle.stat() };
  }
  const { parent, name } = splitLast(path);
  await using folder = await openPlace(ground, parent, { follow: true, directory: true });
  const entry = readEntry(folder.handle, name, path.toString());
  if (entry === undefined) throw new ApiError('file_not_found', `There is nothing at "${path.toString().slice(0, 300)}".`);
  return entry;
}
