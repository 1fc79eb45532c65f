import { type Stats, constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { ApiError } from '@citb/api';
import { type Ground, at, openPlace } from './place.ts';

/** Chunk size of file streams: under emulation the cost is per chunk, not per byte. */
export const chunkBytes = 512 * 1024;

/** An opened regular file. Use `stream` once, or close it. */
export interface OpenFile {
  readonly stats: Stats;
  /** Reads into a buffer, from a position of the file on. Resolves with the number of bytes; 0 is the file's end. */
  read(into: Buffer, position: number): Promise<number>;
  /** Bytes `start` up to and including `end`, never more; fewer when the file shrinks meanwhile. Closes the file at its end. */
  stream(start: number, end: number): Readable;
  close(): Promise<void>;
}

/**
 * Opens a regular file, links followed as long as they stay inside.
 * @throws ApiError `not_a_file` for folders, fifos, sockets and devices: they are looked at, never opened
 */
export async function openFile(ground: Ground, path: string | Buffer): Promise<OpenFile> {
  await using place = await openPlace(ground, path, { follow: true });
  const stats = await place.handle.stat();
  if (!stats.isFile()) throw notAFile(path.toString(), stats);
  // The descriptor stands for this file for good: opening it by its number cannot end up anywhere else.
  const handle = await open(at(place.handle), constants.O_RDONLY | constants.O_NONBLOCK);
  return {
    stats,
    read: async (into, position) => (await handle.read(into, 0, into.byteLength, position)).bytesRead,
    stream(start, end) {
      if (end >= start) return handle.createReadStream({ start, end, highWaterMark: chunkBytes });
      return Readable.from(closing(handle));
    },
    close: () => handle.close(),
  };
}

/** The error for something that is no regular file. */
export function notAFile(path: string, stats: Stats): ApiError {
  const kind = stats.isDirectory() ? 'a folder' : stats.isFIFO() ? 'a pipe' : stats.isSocket() ? 'a socket' : 'a device';
  return new ApiError('not_a_file', `"${path.slice(0, 300)}" is ${kind}.`);
}

/** The stream of an empty file. */
// oxlint-disable-next-line require-yield
async function* closing(handle: { close(): Promise<void> }): AsyncGenerator<never> {
  await handle.close();
}
