import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ApiError, type ErrorCode } from '@citb/api';
import { tarOf } from './tar-of.ts';

const bytes = randomBytes(300_000);

/** A body that comes in pieces. */
function body(content: Buffer, size: number): PassThrough {
  const pieces = Array.from({ length: Math.ceil(content.length / size) }, (_, index) => content.subarray(index * size, (index + 1) * size));
  return Readable.from(pieces).pipe(new PassThrough());
}

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === expected;
}

test('a tar passes as it is, a gzip is unpacked, however their pieces come', async () => {
  for (const size of [1, 1000, 1_000_000]) {
    const content = size === 1 ? bytes.subarray(0, 2000) : bytes;
    const plain = body(content, size);
    assert.equal(await tarOf(plain), plain);
    assert.deepEqual(await buffer(plain), content);
    assert.deepEqual(await buffer(await tarOf(body(gzipSync(content), size))), content);
  }
  for (const short of ['', 'abc']) assert.equal((await buffer(await tarOf(body(Buffer.from(short), 10)))).toString(), short);
});

test('other archives are refused by name', async () => {
  for (const start of ['PK\u0003\u0004zip', 'BZh91AY'])
    await assert.rejects(tarOf(body(Buffer.from(start), 100)), code('unsupported_media_type'));
});

test('a broken or cut gzip fails, and the body is not destroyed', async () => {
  const packed = gzipSync(bytes);
  for (const broken of [packed.subarray(0, 1000), Buffer.concat([packed.subarray(0, 1000), Buffer.alloc(1000, 7)])]) {
    const from = body(broken, 100);
    await assert.rejects(async () => buffer(await tarOf(from)), code('invalid_request'));
    assert.equal(from.errored, null);
  }
});

test('a body that breaks off is the end of what is unpacked from it', async () => {
  const from = new PassThrough();
  from.write(gzipSync(bytes).subarray(0, 1000));
  const reading = buffer(await tarOf(from));
  from.destroy(new Error('cut'));
  await assert.rejects(reading, /cut/);
  const empty = new PassThrough();
  setImmediate(() => empty.destroy(new Error('cut')));
  await assert.rejects(tarOf(empty), code('bad_request'));
});
