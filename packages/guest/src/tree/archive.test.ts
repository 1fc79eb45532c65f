import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { pack } from 'tar-stream';
import { code, world } from './testworld.ts';

test('an archive is unpacked into the same tree', async (t) => {
  const { tree, root } = await world(t);
  mkdirSync(join(root, 'src/empty'), { recursive: true });
  writeFileSync(join(root, 'src/run'), 'x'.repeat(600_000));
  chmodSync(join(root, 'src/run'), 0o755);
  symlinkSync('run', join(root, 'src/link'));
  writeFileSync(join(root, 'src', 'n'.repeat(200)), '');
  const tar = await buffer(await tree.archive('src'));
  assert.deepEqual(await tree.unpack('copy', Readable.from([tar.subarray(0, 1000), tar.subarray(1000)])), { files: 3 });
  assert.equal(execFileSync('diff', ['-r', 'src', 'copy'], { cwd: root }).toString(), '');
  assert.equal(lstatSync(join(root, 'copy/run')).mode & 0o777, 0o755);
  assert.ok(lstatSync(join(root, 'copy/link')).isSymbolicLink());
  assert.deepEqual(await tree.unpack('copy', Readable.from([tar])), { files: 3 }, 'over what is there');
});

test('an archive cannot write outside', async (t) => {
  const { tree, outside } = await world(t);
  await assert.rejects(tree.unpack('', await tarOf({ name: '../evil', type: 'file' })), code('invalid_path'));
  await assert.rejects(tree.unpack('', await tarOf({ name: '/evil', type: 'file' })), code('invalid_path'));
  await assert.rejects(tree.unpack('', await tarOf({ name: 'l', type: 'symlink', linkname: outside })), code('path_outside'));
  await assert.rejects(tree.unpack('', await tarOf({ name: 'd/l', type: 'symlink', linkname: '../../outside' })), code('path_outside'));
  await assert.rejects(tree.unpack('', await tarOf({ name: 'h', type: 'link', linkname: '../outside/secret' })), code('invalid_path'));
  await assert.rejects(tree.unpack('', Readable.from([Buffer.from('x'.repeat(2000))])), code('invalid_request'));
  await tree.unpack('', await tarOf({ name: 'fifo', type: 'fifo' }, { name: 'dev', type: 'character-device', devmajor: 1, devminor: 5 }));
  assert.deepEqual(
    (await tree.list('', { depth: 9, limit: 9 })).entries.map(({ path }) => path),
    [],
  );
  assert.deepEqual(readdirSync(outside), ['secret']);
});

test('a file that shrinks while it is archived does not break the archive', { timeout: 60_000 }, async (t) => {
  const { tree, root } = await world(t);
  writeFileSync(join(root, 'f'), Buffer.alloc(8 * 1024 * 1024, 1));
  writeFileSync(join(root, 'g'), 'after');
  const tar = await tree.archive('');
  const list = spawn('tar', ['-t']);
  const output = buffer(list.stdout);
  const first = tar[Symbol.asyncIterator]();
  list.stdin.write((await first.next()).value);
  truncateSync(join(root, 'f'), 1024 * 1024);
  for (let next = await first.next(); next.done !== true; next = await first.next()) list.stdin.write(next.value);
  list.stdin.end();
  assert.equal((await once(list, 'exit'))[0], 0);
  assert.equal((await output).toString(), 'f\ng\n');
});

async function tarOf(...entries: Parameters<ReturnType<typeof pack>['entry']>[0][]): Promise<Readable> {
  const tar = pack();
  for (const entry of entries) {
    if (entry.type === 'file') tar.entry(entry, 'evil');
    else tar.entry(entry);
  }
  tar.finalize();
  return Readable.from([await buffer(Readable.from(tar as AsyncIterable<Buffer>))]);
}
