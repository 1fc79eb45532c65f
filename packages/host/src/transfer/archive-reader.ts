import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { ApiError, exportBounds, exportEnd } from '@citb/api';
import tar from 'tar-stream';

const decompress = promisify(zstdDecompress);

/** One entry, whole. */
export interface ArchiveEntry {
  readonly name: string;
  readonly content: Buffer;
}

/**
 * The entries of an exported box, one after the other; ends only when the last record says that all of them were as they were
 * written. What comes is a stranger's: names, sizes and kinds are bounded, and nothing is unpacked here.
 * @throws import_invalid, and what the body throws
 */
export async function* readArchive(body: Readable, signal: AbortSignal): AsyncGenerator<ArchiveEntry> {
  const extract = tar.extract();
  const piped = pipeline(body, extract, { signal });
  piped.catch(() => undefined);
  const total = createHash('sha256');
  let entries = 0;
  let ended = false;
  try {
    for await (const entry of extract) {
      const { name, type, size } = entry.header;
      if (ended) throw broken('there is more after its end');
      if (type !== 'file' || size > exportBounds.entryBytes) throw broken(`the entry ${printable(name)} is not one of an export`);
      const content = await whole(entry);
      if (name === 'end.json') {
        checkEnd(content, entries, total.digest('hex'));
        ended = true;
        continue;
      }
      total.update(`${name}\0`).update(createHash('sha256').update(content).digest());
      entries += 1;
      yield { name, content };
    }
    await piped;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApiError) throw error;
    throw broken((error as Error).message, error);
  } finally {
    extract.destroy();
  }
  if (!ended) throw broken('it ends too early');
}

/** The content of a `.zst` entry. @throws import_invalid when it unpacks to more than `most` bytes */
export async function unpacked({ name, content }: ArchiveEntry, most: number): Promise<Buffer> {
  try {
    return await decompress(content, { maxOutputLength: most });
  } catch (error) {
    throw broken(`the entry ${printable(name)} cannot be unpacked`, error);
  }
}

export function broken(why: string, cause?: unknown): ApiError {
  return new ApiError('import_invalid', `This is not an intact exported box: ${why}.`, cause === undefined ? undefined : { cause });
}

function checkEnd(content: Buffer, entries: number, sha256: string): void {
  const end = exportEnd.safeParse(parseJson(content)).data;
  if (end?.entries !== entries || end.sha256 !== sha256) throw broken('its entries are not those that were written');
}

export function parseJson(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString('utf8'));
  } catch {
    return undefined;
  }
}

async function whole(entry: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of entry) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function printable(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
