import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { world } from './testworld.ts';

test('a part of a 3 GiB sparse file is read without reading the rest', async (t) => {
  const { tree, root } = await world(t);
  writeFileSync(join(root, 'big'), 'head');
  truncateSync(join(root, 'big'), 3 * 1024 ** 3);
  const file = await tree.open('big');
  assert.equal(file.stats.size, 3 * 1024 ** 3);
  const part = await buffer(file.stream(2 ** 31 + 5, 2 ** 31 + 1004));
  assert.equal(part.length, 1000);
});
