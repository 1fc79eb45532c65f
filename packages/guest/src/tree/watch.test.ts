import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { newPartName } from './part-file.ts';
import { bytes, world } from './testworld.ts';

test('a watch tells what happens to files, also in folders that are new', { timeout: 30_000 }, async (t) => {
  const { tree, root } = await world(t);
  mkdirSync(join(root, 'old'));
  writeFileSync(join(root, 'old/f'), '1');
  const watch = await tree.watch('', { recursive: true });
  const seen: string[] = [];
  const until = async (wanted: string): Promise<void> => {
    while (!seen.includes(wanted)) {
      await watch.wait(20_000);
      const changes = watch.take();
      assert.ok(changes.length > 0, `no "${wanted}" after ${seen.join(', ')}`);
      seen.push(...changes.map(({ type, path }) => `${type} ${path}`));
    }
  };
  writeFileSync(join(root, 'old/f'), '22');
  await until('modified old/f');
  chmodSync(join(root, 'old/f'), 0o600);
  await until('attributes old/f');
  await rename(join(root, 'old/f'), join(root, 'old/g'));
  await until('renamed old/f');
  await until('created old/g');
  mkdirSync(join(root, 'new/deep'), { recursive: true });
  writeFileSync(join(root, 'new/deep/h'), 'x');
  await until('created new/deep/h');
  writeFileSync(join(root, 'new/deep', newPartName()), 'x');
  await tree.write('new/deep/i', bytes('x'));
  await until('created new/deep/i');
  assert.ok(!seen.some((line) => line.includes('.citb-part')));
  await tree.remove('new', { recursive: true });
  await until('removed new');
  watch.close();
  assert.equal(watch.closed, true);
});
