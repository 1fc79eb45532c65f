import type { FileHandle } from 'node:fs/promises';
import { Readable, finished } from 'node:stream';
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
 * When it settles nothing is being written any more, so the file may be closed. A stream of which only a part could be written is left as it
 * is: it may be the caller's connection, on which the answer must still go out.
 * @throws ApiError `body_too_large` beyond the limit
 */
export async function pour(body: Body, handle: FileHandle, { limit, ownChunks = false }: PourOptions): Promise<void> {
  const stream = body instanceof Readable ? body : Readable.from(body);
  let total = 0;
  let writing = Promise.resolve();
  try {
    for await (const chunks of piecesOf(stream)) {
      for (const { byteLength } of chunks) total += byteLength;
      if (total > limit) throw new ApiError('body_too_large', `The body has more than ${limit} bytes.`);
      await writing;
      writing = writeAll(handle, chunks).then(() => (ownChunks ? chunks.forEach(giveBack) : undefined));
      // Seen by the next await of it; it must not count as unhandled until then.
      writing.catch(() => undefined);
    }
    await writing;
  } finally {
    if (stream !== body) stream.destroy();
    await writing.catch(() => undefined);
  }
}

/**
 * Chunks of together {@link chunkBytes}; fewer at the end. By the stream's events: `for await` makes several promises for each chunk, which an
 * emulated guest feels in an upload.
 */
async function* piecesOf(body: Readable): AsyncGenerator<Uint8Array[]> {
  let gathered: Uint8Array[] = [];
  let size = 0;
  let end: { error: Error | null | undefined } | undefined;
  let notice = Promise.withResolvers<void>();
  const gather = (chunk: Uint8Array): void => {
    gathered.push(chunk);
    size += chunk.byteLength;
    if (size < chunkBytes) return;
    body.pause();
    notice.resolve();
  };
  const forget = finished(body, { writable: false }, (error) => {
    end = { error };
    notice.resolve();
  });
  body.on('data', gather);
  try {
    for (;;) {
      if (end === undefined) {
        notice = Promise.withResolvers();
        body.resume();
        await notice.promise;
      }
      // It may also have failed while its last piece was being written.
      if (end?.error) throw end.error;
      if (gathered.length === 0) return;
      const chunks = gathered;
      gathered = [];
      size = 0;
      yield chunks;
    }
  } finally {
    forget();
    body.off('data', gather);
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
