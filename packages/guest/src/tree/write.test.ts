import assert from 'node:assert/strict';
import { lstatSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileEntry } from './entry.ts';
import { bytes, code, readText, world } from './testworld.ts';

test('a written file is there whole, in folders made for it, with its mode', async (t) => {
  const { tree, root } = await world(t);
  const entry = await tree.write('a/b/run.sh', bytes('echo'), { mode: 0o755 });
  assert.equal(entry.path, 'a/b/run.sh');
  assert.equal(await readText(tree, 'a/b/run.sh'), 'echo');
  assert.deepEqual(
    { ...fileEntry(await tree.stat('a/b/run.sh')), modified: '' },
    { path: 'a/b/run.sh', type: 'file', size: 4, modified: '', mode: '755' },
  );
  await tree.write('a/b/run.sh', bytes('echo 2'));
  assert.equal(lstatSync(join(root, 'a/b/run.sh')).mode & 0o777, 0o755, 'a replaced file keeps its mode');
  assert.deepEqual(readdirSync(join(root, 'a/b')), ['run.sh']);
});

test('an upload that fails leaves nothing, and the old file stays', async (t) => {
  const { tree, root } = await world(t);
  await tree.write('f', bytes('old'));
  await assert.rejects(tree.write('f', cut()), code('disk_full'));
  await assert.rejects(tree.write('f', bytes('too long'), { limit: 3 }), code('body_too_large'));
  assert.deepEqual(readdirSync(root), ['f']);
  assert.equal(readFileSync(join(root, 'f'), 'utf8'), 'old');
});

test('the memory of chunks that are nobody else’s is given back, that of others is not', async (t) => {
  const { tree } = await world(t);
  const whole = new Uint8Array(1000).fill(65);
  const shared = new Uint8Array(1000).fill(66);
  const body = (): Uint8Array[] => [whole, shared.subarray(0, 500), shared.subarray(500)];
  const written = `${'A'.repeat(1000)}${'B'.repeat(1000)}`;
  await tree.write('kept', body());
  assert.equal(await readText(tree, 'kept'), written);
  assert.equal(whole.byteLength, 1000, 'not without being told so');
  await tree.write('own', body(), { ownChunks: true });
  assert.equal(await readText(tree, 'own'), written);
  assert.deepEqual([whole.byteLength, shared.byteLength], [0, 1000]);
});

async function* cut(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('new');
  throw Object.assign(new Error('full'), { code: 'ENOSPC' });
}
