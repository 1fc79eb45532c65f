import { constants } from 'node:fs';
import { link, open, rm, symlink } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, limits } from '@citb/api';
import { type Header, extract } from 'tar-stream';
import { toFault, treePath } from './fault.ts';
import { makeFolder, openFolder } from './folder.ts';
import { type Ground, at, openPlace, splitLast, statIfAny } from './place.ts';
import { type Body, pour } from './pour.ts';

/** Entries taken from one archive. */
const maxEntries = 1_000_000;

/**
 * Unpacks a tar into a folder, which is made when it is missing. Regular files, folders, symbolic and hard links;
 * other kinds are left out. What is there is replaced, folders are kept. Not in one step: an error leaves what came before it.
 * @returns how many files and links were written
 * @throws ApiError `invalid_request` (not a tar), `invalid_path` and `path_outside` (an entry or link leads out), `disk_full`
 */
export async function unpack(ground: Ground, path: string, tar: Readable, signal?: AbortSignal): Promise<{ files: number }> {
  await makeFolder(ground, path, false);
  const parser = extract();
  const feeding = pipeline(tar, parser as NodeJS.WritableStream, signal === undefined ? {} : { signal });
  // Its failure is seen by the loop below, which stops, and then by the await.
  feeding.catch(() => undefined);
  const room = { files: 0, entries: 0, bytes: limits.uploadBytes };
  try {
    for await (const entry of parser) {
      room.entries += 1;
      if (room.entries > maxEntries) throw new ApiError('body_too_large', `The archive has more than ${maxEntries} entries.`);
      room.bytes -= entry.header.size ?? 0;
      if (room.bytes < 0) throw new ApiError('body_too_large', `The archive holds more than ${limits.uploadBytes} bytes.`);
      if (await unpackEntry(ground, path, entry.header, entry as AsyncIterable<Uint8Array>)) room.files += 1;
      entry.resume();
    }
    await feeding;
    return { files: room.files };
  } catch (error) {
    parser.destroy();
    tar.destroy();
    throw asTarFault(error);
  }
}

async function unpackEntry(ground: Ground, into: string, header: Header, body: Body): Promise<boolean> {
  const name = treePath(header.name.replace(/^(?:\.\/)+/, ''));
  const path = joined(into, name);
  if (name === '') return false;
  try {
    switch (header.type) {
      case 'directory':
        await makeFolder(ground, path, false);
        return false;
      case 'file':
      case 'contiguous-file':
        await unpackFile(ground, path, header, body);
        return true;
      case 'symlink':
        await unpackSymlink(ground, into, path, header.linkname ?? '');
        return true;
      case 'link':
        await unpackHardLink(ground, path, joined(into, treePath((header.linkname ?? '').replace(/^(?:\.\/)+/, ''))));
        return true;
      default:
        return false;
    }
  } catch (error) {
    throw toFault(path, error);
  }
}

async function unpackFile(ground: Ground, path: string, header: Header, body: Body): Promise<void> {
  await inFreshPlace(ground, path, async (place) => {
    const handle = await open(place, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      await pour(body, handle, { limit: header.size ?? 0 });
      if (ground.owner !== undefined) await handle.chown(ground.owner.uid, ground.owner.gid);
      await handle.chmod((header.mode ?? 0o644) & 0o777);
      if (header.mtime !== undefined && !Number.isNaN(header.mtime.getTime())) await handle.utimes(header.mtime, header.mtime);
    } finally {
      await handle.close();
    }
  });
}

async function unpackSymlink(ground: Ground, into: string, path: string, target: string): Promise<void> {
  if (ground.confined && leadsOut(into, path, target))
    throw new ApiError('path_outside', `The link "${path.slice(0, 300)}" in the archive leads out of the workspace.`);
  await inFreshPlace(ground, path, (place) => symlink(target, place));
}

/** By the letter of the path. What links on the way make of it is checked at each use. */
function leadsOut(into: string, path: string, target: string): boolean {
  if (target.startsWith('/')) return true;
  const end = posix.normalize(posix.join(posix.dirname(path), target));
  return end === '..' || end.startsWith('../') || (into !== '' && end !== into && !end.startsWith(`${into}/`));
}

async function unpackHardLink(ground: Ground, path: string, target: string): Promise<void> {
  const source = splitLast(target);
  await using folder = await openPlace(ground, source.parent, { follow: true, directory: true });
  await inFreshPlace(ground, path, (place) => link(at(folder.handle, source.name), place));
}

/** Runs `make` on a path in an opened folder at which nothing is any more. */
async function inFreshPlace(ground: Ground, path: string, make: (place: string | Buffer) => Promise<unknown>): Promise<void> {
  const { parent, name } = splitLast(path);
  await using folder = await openFolder(ground, parent);
  const place = at(folder.place.handle, name);
  const present = await statIfAny(place);
  if (present?.isDirectory() === true) throw new ApiError('file_exists', `There is a folder at "${path.slice(0, 300)}".`);
  if (present !== undefined) await rm(place, { force: true });
  await make(place);
}

function joined(into: string, name: string): string {
  return into === '' || name === '' ? into + name : `${into}/${name}`;
}

/** tar-stream's own errors have no codes; they mean that this is no tar. */
function asTarFault(error: unknown): unknown {
  if (error instanceof ApiError || !(error instanceof Error) || 'code' in error) return error;
  return new ApiError('invalid_request', `The body is not a tar archive: ${error.message.slice(0, 200)}`, { cause: error });
}
