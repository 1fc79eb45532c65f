import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createImages, type ImagesOptions } from './create-images.ts';

const repoRoot = fileURLToPath(new URL('../../../', import.meta.url));

async function options(stack: AsyncDisposableStack): Promise<ImagesOptions> {
  const dataDir = await mkdtemp(join(tmpdir(), 'citb-images-'));
  stack.defer(() => rm(dataDir, { recursive: true }));
  return { dataDir, repoRoot };
}

test('the runtimes are the folders with a manifest', async () => {
  await using stack = new AsyncDisposableStack();
  const runtimes = await createImages(await options(stack)).runtimes();
  for (const name of ['bash', 'claude-agent', 'node', 'python']) assert.ok(runtimes.includes(name), name);
  assert.ok(!runtimes.includes('base'));
});

test('an image that was not built is not there', async () => {
  await using stack = new AsyncDisposableStack();
  assert.equal(await createImages(await options(stack)).peek('bash'), undefined);
});

test('an unknown runtime is refused with those that exist, also one that leads out of the folder', async () => {
  await using stack = new AsyncDisposableStack();
  const images = createImages(await options(stack));
  for (const name of ['cobol', '../packages', '', 'base', 'bash/../bash', '.']) {
    await assert.rejects(images.get(name), /There is no runtime .*\n.*bash, claude-agent/);
  }
});
