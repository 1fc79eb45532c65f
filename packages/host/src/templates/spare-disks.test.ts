import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createDisks } from '../disks/disks.ts';
import { SpareDisks } from './spare-disks.ts';
import { type Template, templateFiles } from './template.ts';

const never = new AbortController().signal;

async function templateIn(t: TestContext): Promise<{ template: Template; spare: string; box: (name: string) => string }> {
  const folder = await mkdtemp(join(tmpdir(), 'citb-spare-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'template'));
  const files = templateFiles(join(folder, 'template'));
  await writeFile(files.disk, 'as it was saved');
  // Disks are all that is asked of it.
  const template = { key: 'key', folder: join(folder, 'template'), disk: files.disk } as Template;
  return { template, spare: files.spare, box: (name) => join(folder, name) };
}

test('a disk made ahead is taken once; who comes too late gets a copy', async (t) => {
  const { template, spare, box } = await templateIn(t);
  const spares = new SpareDisks(createDisks(), never);
  spares.refill(template);
  await spares.settled();
  await writeFile(spare, 'made ahead');
  await Promise.all(['a', 'b', 'c'].map((name) => spares.take(template, box(name), never)));
  const disks = await Promise.all(['a', 'b', 'c'].map((name) => readFile(box(name), 'utf8')));
  assert.deepEqual(disks.toSorted(), ['as it was saved', 'as it was saved', 'made ahead']);
  assert.equal(existsSync(spare), false);
  spares.refill(template);
  await spares.settled();
  assert.equal(await readFile(spare, 'utf8'), 'as it was saved');
});

test('a disk on which a machine has written does not stay, with a spare and without', async (t) => {
  const { template, box } = await templateIn(t);
  const spares = new SpareDisks(createDisks(), never);
  await writeFile(box('copied'), 'written by a machine that is gone');
  await spares.take(template, box('copied'), never);
  assert.equal(await readFile(box('copied'), 'utf8'), 'as it was saved');
  spares.refill(template);
  await spares.settled();
  await writeFile(box('renamed'), 'written by a machine that is gone');
  await spares.take(template, box('renamed'), never);
  assert.equal(await readFile(box('renamed'), 'utf8'), 'as it was saved');
});

test('without room for a spare, or after the end, a box makes its own', async (t) => {
  const { template, spare, box } = await templateIn(t);
  const stopping = new AbortController();
  const spares = new SpareDisks(createDisks(), stopping.signal);
  await rm(template.folder, { recursive: true });
  spares.refill(template);
  await spares.settled();
  await mkdir(template.folder);
  await writeFile(template.disk, 'as it was saved');
  await spares.take(template, box('own'), never);
  assert.equal(await readFile(box('own'), 'utf8'), 'as it was saved');
  stopping.abort();
  spares.refill(template);
  await spares.settled();
  assert.equal(existsSync(spare), false);
});
