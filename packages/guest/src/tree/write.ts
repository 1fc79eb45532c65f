import { type Stats, constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { ApiError, limits } from '@citb/api';
import type { TreeEntry } from './entry.ts';
import { errno } from './fault.ts';
import { openFolder } from './folder.ts';
import { type Ground, type Place, at, openPlace, splitLast, statIfAny, syncFolder } from './place.ts';
import { newPartName } from './part-file.ts';
import { type Body, type PourOptions, pour } from './pour.ts';
import { notAFile } from './read.ts';

export interface WriteOptions extends Partial<PourOptions> {
  /** Permission bits. Those of the file that is there, else 0644. */
  readonly mode?: number | undefined;
  /** Wait until the disk has its name, too (default). Without it a crash may take the file away, but leaves no half or empty one. */
  readonly durable?: boolean | undefined;
}

/** Puts a file's bytes into it, by other means than a body. What it throws ends the writing. */
export type Filler = (file: FileHandle) => Promise<void>;

/**
 * Writes a file beside its place and then puts it there in one step: readers see the old file or the whole new one.
 * Missing folders are made. A link that is there is followed if it leads to a file inside.
 * @throws ApiError `disk_full`, `body_too_large`, `not_a_file`, `path_outside`: nothing is left of the attempt
 */
export async function writeFile(
  ground: Ground,
  path: string | Buffer,
  body: Body | Filler,
  options: WriteOptions = {},
): Promise<TreeEntry> {
  await using target = await openTarget(ground, path);
  const { folder, name } = target;
  const temporary = at(folder.handle, newPartName());
  const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    const stats = await fill(handle, body, options, ground, target.mode);
    await rename(temporary, at(folder.handle, name));
    if (options.durable !== false) await syncFolder(folder.handle);
    return { path: path.toString(), stats };
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

/** Where the bytes go in the end: an opened folder and a name in it. */
interface Target extends AsyncDisposable {
  readonly folder: Place;
  readonly name: Buffer;
  /** Of the file that is there. */
  readonly mode: number | undefined;
}

async function openTarget(ground: Ground, path: string | Buffer): Promise<Target> {
  const { parent, name } = splitLast(path);
  const { place: folder } = await openFolder(ground, parent);
  try {
    const present = await statIfAny(at(folder.handle, name));
    if (present === undefined || present.isFile()) return targetIn(folder, name, present);
    if (!present.isSymbolicLink()) throw notAFile(path.toString(), present);
  } catch (error) {
    await folder.handle.close();
    throw error;
  }
  await folder.handle.close();
  return openLinked(ground, path);
}

/** The target behind a link. */
async function openLinked(ground: Ground, path: string | Buffer): Promise<Target> {
  const shown = path.toString().slice(0, 300);
  await using behind = await openPlace(ground, path, { follow: true }).catch((error: unknown) => {
    if (errno(error) === 'ENOENT') throw new ApiError('not_a_file', `"${shown}" is a link that leads nowhere.`, { cause: error });
    throw error;
  });
  const stats = await behind.handle.stat();
  if (!stats.isFile()) throw notAFile(shown, stats);
  const { parent, name } = splitLast(behind.real);
  return targetIn(await openPlace(ground, parent, { follow: true, directory: true }), name, stats);
}

function targetIn(folder: Place, name: Buffer, present: Stats | undefined): Target {
  return { folder, name, mode: present?.mode, [Symbol.asyncDispose]: () => folder.handle.close() };
}

async function fill(
  handle: FileHandle,
  body: Body | Filler,
  options: WriteOptions,
  ground: Ground,
  oldMode: number | undefined,
): Promise<Stats> {
  if (typeof body === 'function') await body(handle);
  else await pour(body, handle, { limit: options.limit ?? limits.uploadBytes, ownChunks: options.ownChunks });
  if (ground.owner !== undefined) await handle.chown(ground.owner.uid, ground.owner.gid);
  await handle.chmod((options.mode ?? oldMode ?? 0o644) & 0o7777);
  await handle.sync();
  return await handle.stat();
}
