import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { ApiError } from '@citb/api';
import { fileEntry } from './entry.ts';
import { bytes, code, readText, world } from './testworld.ts';

test('paths that are no relative paths are refused', async (t) => {
  const { tree } = await world(t);
  for (const path of ['../outside/secret', '/etc/passwd', 'a/../../b', 'a\0b', 'x'.repeat(256), 'a//b', `${'d/'.repeat(2100)}f`]) {
    await assert.rejects(tree.open(path), code('invalid_path'), path.slice(0, 20));
    await assert.rejects(tree.write(path, bytes('x')), code('invalid_path'));
  }
});

test('links inside are followed, links that lead out are not, for any operation', async (t) => {
  const { tree, root, outside } = await world(t);
  mkdirSync(join(root, 'data'));
  writeFileSync(join(root, 'data/real'), 'inside');
  symlinkSync('data/real', join(root, 'alias'));
  symlinkSync(join(root, 'data'), join(root, 'folder'));
  symlinkSync(outside, join(root, 'out'));
  symlinkSync(join(outside, 'secret'), join(root, 'leak'));
  symlinkSync(join(outside, 'new'), join(root, 'dangling'));
  symlinkSync('loop', join(root, 'loop'));
  assert.equal(await readText(tree, 'alias'), 'inside');
  assert.equal(await readText(tree, 'folder/real'), 'inside');
  await tree.write('alias', bytes('changed'));
  assert.equal(readFileSync(join(root, 'data/real'), 'utf8'), 'changed');
  assert.equal(fileEntry(await tree.stat('leak')).target, join(outside, 'secret'));
  for (const work of [
    () => tree.open('leak'),
    () => tree.open('out/secret'),
    () => tree.open('loop'),
    () => tree.write('leak', bytes('x')),
    () => tree.write('out/new', bytes('x')),
    () => tree.write('out/deep/er/new', bytes('x')),
    () => tree.makeFolder('out/new'),
    () => tree.list('out', { depth: 1, limit: 10 }),
    () => tree.stat('out/secret'),
    () => tree.remove('out/secret', { recursive: false }),
    () => tree.move('data', 'out/data', { overwrite: true }),
    () => tree.move('out/secret', 'secret', { overwrite: true }),
    () => tree.archive('out'),
    () => tree.watch('out', { recursive: true }),
    () => tree.unpack('out', Readable.from([])),
  ])
    await assert.rejects(work(), code('path_outside'), String(work));
  await assert.rejects(tree.write('dangling', bytes('x')), code('not_a_file'));
  assert.deepEqual(readdirSync(outside), ['secret']);
  assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'secret');
});

test('a link that is swapped all the time never leads out', { timeout: 60_000 }, async (t) => {
  const { tree, root, outside } = await world(t);
  mkdirSync(join(root, 'real'));
  writeFileSync(join(root, 'real/secret'), 'mine');
  const stop = new AbortController();
  const swapper = swapForever(join(root, 'spot'), ['real', outside], stop.signal);
  while (!existsSync(join(root, 'spot'))) await new Promise((resolve) => setImmediate(resolve));
  const got: Record<string, number> = {};
  for (let round = 0; round < 500; round += 1) {
    const result = await readText(tree, 'spot/secret').catch((error: unknown) => (error instanceof ApiError ? error.code : String(error)));
    got[result] = (got[result] ?? 0) + 1;
    await tree.write('spot/made', bytes('x'), { durable: false }).catch(() => undefined);
    await tree.remove('spot/made', { recursive: true }).catch(() => undefined);
  }
  stop.abort();
  await swapper;
  // How often each is met is up to the scheduler.
  assert.deepEqual(
    Object.keys(got).filter((result) => !['mine', 'path_outside'].includes(result)),
    [],
  );
  assert.deepEqual(readdirSync(outside), ['secret']);
  t.diagnostic(JSON.stringify(got));
});

/** Makes `spot` a link to one target after the other; it is never absent. */
async function swapForever(spot: string, targets: readonly string[], signal: AbortSignal): Promise<void> {
  for (let round = 0; !signal.aborted || round === 0; round += 1) {
    await symlink(targets[round % targets.length] ?? '', `${spot}-next`);
    await rename(`${spot}-next`, spot);
  }
}

test('fifos, devices and sockets are never opened', { timeout: 20_000 }, async (t) => {
  const { tree, root } = await world(t);
  execFileSync('mkfifo', [join(root, 'fifo')]);
  const links = ['zero', 'tty', 'stdin'].filter((name) => existsSync(`/dev/${name}`));
  for (const name of links) symlinkSync(`/dev/${name}`, join(root, name));
  await assert.rejects(tree.open('fifo'), code('not_a_file'));
  await assert.rejects(tree.write('fifo', bytes('x')), code('not_a_file'));
  for (const name of links) await assert.rejects(tree.open(name), code('path_outside'));
  const listing = await tree.list('', { depth: 9, limit: 100 });
  assert.equal(listing.entries.map(fileEntry).find(({ path }) => path === 'fifo')?.type, 'other');
  const names = execFileSync('tar', ['-t'], { input: await buffer(await tree.archive('')) })
    .toString()
    .split('\n');
  assert.ok(!names.includes('fifo'));
  await tree.remove('fifo', { recursive: false });
});
