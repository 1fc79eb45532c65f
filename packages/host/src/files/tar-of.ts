import { once } from 'node:events';
import { finished, PassThrough, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ApiError } from '@citb/api';

/** Beginnings of what people send for a tar, and what to do instead. */
const others: readonly { readonly magic: readonly number[]; readonly name: string; readonly hint: string }[] = [
  { magic: [0x50, 0x4b], name: 'zip', hint: 'Send a tar, plain or gzip: tar -cz . | curl -T - …' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], name: 'xz', hint: 'Unpack it on the way: xz -dc x.tar.xz | curl -T - …' },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], name: 'zstd', hint: 'Unpack it on the way: zstd -dc x.tar.zst | curl -T - …' },
  { magic: [0x42, 0x5a, 0x68], name: 'bzip2', hint: 'Unpack it on the way: bzip2 -dc x.tar.bz2 | curl -T - …' },
];
const gzip = [0x1f, 0x8b];
const longestMagic = 5;

/**
 * The tar in a body: the body itself, or what comes out of it when its first bytes are gzip's. What it is called (`Content-Type`)
 * does not matter: curl calls everything the same. How much comes out is for the reader to bound. The body is never destroyed: the
 * answer goes out on its connection. Destroy a stream that is not the body when it is no longer read.
 * @throws ApiError `unsupported_media_type` for another kind of archive; `bad_request` when the body ends early. The stream fails
 * with `invalid_request` for a broken gzip
 */
export async function tarOf(body: Readable): Promise<Readable> {
  const head = await firstBytes(body);
  const other = others.find(({ magic }) => begins(head, magic));
  if (other !== undefined) throw new ApiError('unsupported_media_type', `The body is a ${other.name} file.`, { hint: other.hint });
  return begins(head, gzip) ? gunzipped(body) : body;
}

/** Looks at the first bytes, which stay where they are. */
async function firstBytes(body: Readable): Promise<Buffer> {
  let over = false;
  const stop = finished(body, { writable: false }, () => (over = true));
  try {
    for (;;) {
      // Null until so many bytes are there; the rest when the body has ended before.
      const head = body.read(longestMagic) as Buffer | null;
      if (head !== null) body.unshift(head);
      if (head !== null || over || body.readableEnded) return head ?? Buffer.alloc(0);
      await Promise.race([once(body, 'readable'), once(body, 'end'), once(body, 'close')]);
    }
  } catch (cause) {
    throw cause instanceof ApiError ? cause : new ApiError('bad_request', 'The upload ended early.', { cause });
  } finally {
    stop();
  }
}

function gunzipped(body: Readable): Readable {
  const gunzip = createGunzip();
  const tar = new PassThrough();
  const unwatch = finished(body, { writable: false }, (error) => {
    if (error) tar.destroy(error);
  });
  gunzip.once('error', (cause) => tar.destroy(new ApiError('invalid_request', `The gzip is broken: ${cause.message}.`, { cause })));
  // Its reader may come later than its failure.
  tar.on('error', () => undefined);
  tar.once('close', () => {
    unwatch();
    body.unpipe(gunzip);
    gunzip.destroy();
  });
  body.pipe(gunzip).pipe(tar);
  return tar;
}

function begins(bytes: Buffer, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}
