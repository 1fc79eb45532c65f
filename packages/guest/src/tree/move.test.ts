import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bytes, code, world } from './testworld.ts';

test('moving', async (t) => {
  const { tree, root } = await world(t);
  await tree.write('a', bytes('a'));
  await tree.write('b', bytes('b'));
  await assert.rejects(tree.move('a', 'b', { overwrite: false }), code('file_exists'));
  await tree.move('a', 'b', { overwrite: true });
  assert.equal(readFileSync(join(root, 'b'), 'utf8'), 'a');
  assert.equal((await tree.move('b', 'new/place/c', { overwrite: false })).path, 'new/place/c');
  await assert.rejects(tree.move('new', 'new/place/d', { overwrite: false }), code('invalid_path'));
  await assert.rejects(tree.move('none', 'x', { overwrite: false }), code('file_not_found'));
});
