import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { code, readText, world } from './testworld.ts';

test('a listing is sorted by path, bounded, and says when it was cut', async (t) => {
  const { tree, root } = await world(t);
  for (const name of ['a', 'a-b', 'z']) mkdirSync(join(root, name));
  for (const name of ['a/x', 'a-b/x', 'é', 'z/y']) writeFileSync(join(root, name), '');
  const all = await tree.list('', { depth: 99, limit: 100 });
  assert.deepEqual(
    all.entries.map(({ path }) => path),
    ['a', 'a-b', 'a-b/x', 'a/x', 'z', 'z/y', 'é'],
  );
  assert.equal(all.truncated, false);
  assert.deepEqual(
    (await tree.list('a', { depth: 1, limit: 100 })).entries.map(({ path }) => path),
    ['a/x'],
  );
  for (let index = 0; index < 10_000; index += 1) writeFileSync(join(root, 'z', `f${index}`), '');
  const started = performance.now();
  const cut = await tree.list('', { depth: 99, limit: 10_000 });
  t.diagnostic(`10000 entries in ${Math.round(performance.now() - started)} ms`);
  assert.equal(cut.entries.length, 10_000);
  assert.equal(cut.truncated, true);
  await assert.rejects(tree.list('é', { depth: 1, limit: 1 }), code('not_a_directory'));
  await assert.rejects(tree.list('none', { depth: 1, limit: 1 }), code('file_not_found'));
});

test('names that are not UTF-8 are listed, read by their shown form, archived and removed', async (t) => {
  const { tree, root } = await world(t);
  const odd = Buffer.concat([Buffer.from(`${root}/odd`), Buffer.from([0xff, 0xfe])]);
  writeFileSync(odd, 'odd');
  writeFileSync(join(root, 'new\nline "quoted" \u202e'), 'x');
  const { entries } = await tree.list('', { depth: 9, limit: 9 });
  assert.deepEqual(
    entries.map(({ path }) => path),
    ['new\nline "quoted" \u202e', 'odd\uFFFD\uFFFD'],
  );
  assert.equal(await readText(tree, 'odd\uFFFD\uFFFD'), 'odd');
  assert.ok((await buffer(await tree.archive(''))).length > 1024);
  await tree.remove('odd\uFFFD\uFFFD', { recursive: false });
  assert.equal((await tree.list('', { depth: 9, limit: 9 })).entries.length, 1);
});

test('a tree deeper than any path can name is listed as cut, and removed', { timeout: 120_000 }, async (t) => {
  const { tree, root } = await world(t);
  execFileSync('python3', ['-c', 'import os\nfor i in range(1500):\n os.mkdir("deep"); os.chdir("deep")\nopen("f","w").close()'], {
    cwd: root,
  });
  const listing = await tree.list('', { depth: 1_000_000, limit: 10_000 });
  assert.equal(listing.truncated, true);
  await tree.remove('deep', { recursive: true });
  assert.deepEqual(readdirSync(root), []);
});

test('a file that is being written is not shown, and one that a dead machine left is removed', async (t) => {
  const { tree, root } = await world(t);
  const [being, left, own] = [
    '.0a1b2c3d-0000-4000-8000-00000000000a.citb-part',
    '.0a1b2c3d-0000-4000-8000-00000000000b.citb-part',
    'x.citb-part',
  ];
  for (const name of [being, left, own]) writeFileSync(join(root, name), 'half');
  utimesSync(join(root, left), 1, 1);
  assert.deepEqual(
    (await tree.list('', { depth: 1, limit: 100 })).entries.map(({ path }) => path),
    [own],
  );
  assert.deepEqual(readdirSync(root).toSorted(), [being, own].toSorted());
});
