import { chown, mkdir } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import type { TreeEntry } from './entry.ts';
import { errno } from './fault.ts';
import { type Ground, type Place, at, openBelow, openPlace, openRoot, syncFolder } from './place.ts';

/**
 * Makes a folder and its parents.
 * @param durable wait until the disk has it; off for many
 * @throws ApiError `file_exists` when something else is there
 */
export async function makeFolder(ground: Ground, path: string | Buffer, durable = true): Promise<{ entry: TreeEntry; created: boolean }> {
  try {
    await using made = await openFolder(ground, path);
    if (made.created && durable) await syncFolder(made.place.handle);
    const stats = await made.place.handle.stat();
    return { entry: { path: path.toString(), stats }, created: made.created };
  } catch (error) {
    if (errno(error) === 'ENOTDIR')
      throw new ApiError('file_exists', `There is something that is no folder at "${path.toString().slice(0, 300)}".`);
    throw error;
  }
}

/** An opened folder; what was missing of it has been made. */
export interface OpenFolder extends AsyncDisposable {
  readonly place: Place;
  readonly created: boolean;
}

/** Opens a folder, making what is missing on the way. Folders that are made belong to the tree's owner. */
export async function openFolder(ground: Ground, path: string | Buffer): Promise<OpenFolder> {
  try {
    return folder(await openPlace(ground, path, { follow: true, directory: true }), false);
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error;
  }
  await using root = await openRoot(ground);
  let current = await openBelow(ground, root, root, '.', { follow: true });
  for (const part of splitPath(path)) {
    try {
      const next = await openOrMake(ground, root, current, part);
      await current.handle.close();
      current = next;
    } catch (error) {
      await current.handle.close();
      throw error;
    }
  }
  return folder(current, true);
}

async function openOrMake(ground: Ground, root: Place, parent: Place, name: Buffer): Promise<Place> {
  try {
    return await openBelow(ground, root, parent, name, { follow: true, directory: true });
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error;
  }
  try {
    await mkdir(at(parent.handle, name), 0o755);
  } catch (error) {
    // A link that leads nowhere is there too: opening it below says so.
    if (errno(error) !== 'EEXIST') throw error;
    return openBelow(ground, root, parent, name, { follow: true, directory: true });
  }
  const made = await openBelow(ground, root, parent, name, { follow: false, directory: true });
  if (ground.owner !== undefined) await chown(at(made.handle), ground.owner.uid, ground.owner.gid);
  return made;
}

function splitPath(path: string | Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let rest = Buffer.from(path);
  for (let slash = rest.indexOf('/'); slash !== -1; slash = rest.indexOf('/')) {
    parts.push(rest.subarray(0, slash));
    rest = rest.subarray(slash + 1);
  }
  return [...parts, rest];
}

function folder(place: Place, created: boolean): OpenFolder {
  return { place, created, [Symbol.asyncDispose]: () => place.handle.close() };
}
