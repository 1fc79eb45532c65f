import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { code, world } from './testworld.ts';

test('removing does not follow links, and a full folder is only removed when asked to', async (t) => {
  const { tree, root, outside } = await world(t);
  mkdirSync(join(root, 'd/e'), { recursive: true });
  writeFileSync(join(root, 'd/f'), '');
  symlinkSync(outside, join(root, 'd/out'));
  await assert.rejects(tree.remove('d', { recursive: false }), code('file_exists'));
  await assert.rejects(tree.remove('', { recursive: true }), code('invalid_path'));
  await assert.rejects(tree.remove('none', { recursive: true }), code('file_not_found'));
  await tree.remove('d', { recursive: true });
  assert.equal(existsSync(join(root, 'd')), false);
  assert.deepEqual(readdirSync(outside), ['secret']);
});
