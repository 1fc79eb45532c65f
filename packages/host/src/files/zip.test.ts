import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Header, type HeaderData } from 'tar';
import { fromBufferPromise } from 'yauzl';
import { zipOfTar } from './zip.ts';

const modified = new Date('2026-02-03T04:05:06Z');
const end = Buffer.alloc(1024);

/** One entry of a tar, as its bytes. */
function entry(path: string, data: Partial<HeaderData>, content: string | Buffer = ''): Buffer {
  const header = new Header({
    path,
    type: 'File',
    mode: 0o644,
    mtime: modified,
    size: Buffer.byteLength(content),
    uid: 0,
    gid: 0,
    ...data,
  });
  const block = Buffer.alloc(512);
  header.encode(block);
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
  Buffer.from(content).copy(body);
  return Buffer.concat([block, body]);
}

/** A tar in pieces of an odd size, as a network brings them. */
function stream(...parts: Buffer[]): Readable {
  const all = Buffer.concat(parts);
  return Readable.from(Array.from({ length: Math.ceil(all.length / 777) }, (_, index) => all.subarray(index * 777, (index + 1) * 777)));
}

interface Unzipped {
  readonly mode: number;
  readonly content: Buffer;
}

async function unzip(zip: Buffer): Promise<Map<string, Unzipped>> {
  const file = await fromBufferPromise(zip, { lazyEntries: true });
  const found = new Map<string, Unzipped>();
  for await (const each of file.eachEntry()) {
    found.set(each.fileName, { mode: each.externalFileAttributes >>> 16, content: await buffer(await file.openReadStreamPromise(each)) });
  }
  return found;
}

test('files, folders and links of a tar are in the zip, with their modes', async () => {
  const large = Buffer.alloc(3_000_000, 'abcdefg');
  const zip = await buffer(
    zipOfTar(
      stream(
        entry('src/', { type: 'Directory', mode: 0o755 }),
        entry('src/main.py', {}, 'print("hi")'),
        entry('run.sh', { mode: 0o755 }, '#!/bin/sh\n'),
        entry('empty', {}),
        entry('latest', { type: 'SymbolicLink', linkpath: 'src/main.py', size: 0 }),
        entry('naïve-ü.bin', {}, large),
        end,
      ),
    ),
  );
  const found = await unzip(zip);
  assert.deepEqual([...found.keys()], ['src/', 'src/main.py', 'run.sh', 'empty', 'latest', 'naïve-ü.bin']);
  assert.equal(found.get('src/main.py')?.content.toString(), 'print("hi")');
  assert.equal(found.get('run.sh')?.mode, 0o100755);
  assert.equal(found.get('latest')?.mode, 0o120777);
  assert.equal(found.get('latest')?.content.toString(), 'src/main.py');
  assert.deepEqual(found.get('naïve-ü.bin')?.content, large);
});

test('an empty folder is an empty zip', async () => {
  assert.equal((await unzip(await buffer(zipOfTar(stream(end))))).size, 0);
});

test('names that would leave the folder, and special files, are not in the zip', async () => {
  const zip = await buffer(
    zipOfTar(
      stream(
        entry('../../etc/passwd', {}, 'x'),
        entry('/etc/passwd', {}, 'x'),
        entry('a/../../b', {}, 'x'),
        entry('back\\slash', {}, 'x'),
        entry('fifo', { type: 'FIFO', size: 0 }),
        entry('tty', { type: 'CharacterDevice', size: 0 }),
        entry('old', { mtime: new Date(-1e12) }, 'x'),
        entry('good', {}, 'y'),
        end,
      ),
    ),
  );
  assert.deepEqual([...(await unzip(zip)).keys()], ['old', 'good']);
});

test('what is not a whole, plain tar makes the stream fail', async () => {
  const whole = Buffer.concat([entry('a', {}, 'x'.repeat(5000)), end]);
  await assert.rejects(buffer(zipOfTar(stream(gzipSync(whole)))), /not a tar/);
  await assert.rejects(buffer(zipOfTar(Readable.from([gzipSync(whole).subarray(0, 1), gzipSync(whole).subarray(1)]))), /not a tar/);
  await assert.rejects(buffer(zipOfTar(stream(Buffer.from('hello')))), /not a tar/);
  await assert.rejects(buffer(zipOfTar(stream(whole.subarray(0, 3000)))));
  const huge = entry('x', { type: 'ExtendedHeader', size: 4 * 1024 ** 3 });
  await assert.rejects(buffer(zipOfTar(stream(huge, Buffer.alloc(4096, 'a')))));
});

test('a tar that is cut makes the stream fail, and a reader that leaves ends the tar', async () => {
  const cut = new Readable({ read: () => undefined });
  const failing = buffer(zipOfTar(cut));
  cut.push(entry('a', {}, 'x'.repeat(5000)).subarray(0, 2000));
  cut.destroy(new Error('cut'));
  await assert.rejects(failing, /cut/);

  const endless = new Readable({ read: () => void endless.push(entry('f', {}, 'x')) });
  const zip = zipOfTar(endless);
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  endless.once('close', resolve);
  zip.once('data', () => zip.destroy());
  zip.on('error', () => undefined);
  await closed;
});
