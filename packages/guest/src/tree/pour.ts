import type { FileHandle } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import { chunkBytes } from './read.ts';

/** What a file can be written from. An error of it ends the writing. */
export type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface PourOptions {
  /** Most bytes taken. */
  readonly limit: number;
  /**
   * Nobody else has the chunks: their memory is given back as soon as they are written. Left to V8, which sees only how small they are in its
   * heap, those of an upload pile up to 64 MiB, and then all of the heap is collected.
   */
  readonly ownChunks?: boolean | undefined;
}

/**
 * Writes a body into an opened file, in pieces of {@link chunkBytes}: one is being written while the next is gathered.
 * When it settles nothing is being written any more, so the file may be closed.
 * @throws ApiError `body_too_large` beyond the limit
 */
export async function pour(body: Body, handle: FileHandle, { limit, ownChunks = false }: PourOptions): Promise<void> {
  let gathered: Uint8Array[] = [];
  let size = 0;
  let total = 0;
  let writing = Promise.resolve();
  const flush = async (): Promise<void> => {
    await writing;
    const chunks = gathered;
    writing = writeAll(handle, chunks).then(() => (ownChunks ? chunks.forEach(giveBack) : undefined));
    // Seen by the next await of it; it must not count as unhandled until then.
    writing.catch(() => undefined);
    gathered = [];
    size = 0;
  };
  try {
    for await (const chunk of body) {
      total += chunk.byteLength;
      if (total > limit) throw new ApiError('body_too_large', `The body has more than ${limit} bytes.`);
      gathered.push(chunk);
      size += chunk.byteLength;
      if (size >= chunkBytes) await flush();
    }
    await flush();
    await writing;
  } finally {
    await writing.catch(() => undefined);
  }
}

/** Frees what a chunk is made of, unless others may have a part of it: a socket reads several chunks of a chunked body at once. */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/** writev(2) may write less than it was given, for example when the disk is nearly full. */
async function writeAll(handle: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  let rest = chunks.filter((chunk) => chunk.byteLength > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest.slice(0, 1024));
    while (rest[0] !== undefined && bytesWritten >= rest[0].byteLength) {
      bytesWritten -= rest[0].byteLength;
      rest = rest.slice(1);
    }
    if (rest[0] !== undefined) rest = [rest[0].subarray(bytesWritten), ...rest.slice(1)];
  }
}
