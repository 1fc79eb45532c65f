import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ArtifactStore } from './store.ts';

async function store(stack: AsyncDisposableStack): Promise<{ store: ArtifactStore; root: string }> {
  const root = await mkdtemp(join(tmpdir(), 'citb-store-'));
  stack.defer(() => rm(root, { recursive: true }));
  return { store: new ArtifactStore(root), root };
}

async function publish(into: ArtifactStore, name: string, content: string): Promise<void> {
  const folder = await into.workspace();
  await writeFile(join(folder, 'root.img'), content, { mode: 0o600 });
  await into.publish(name, folder);
}

test('what is published is found, readable for everybody and writable for nobody', async () => {
  await using stack = new AsyncDisposableStack();
  const { store: artifacts } = await store(stack);
  await publish(artifacts, 'root-bash-1', 'image');
  const found = await artifacts.find('root-bash-1');
  assert.ok(found);
  assert.equal(await readFile(join(found.folder, 'root.img'), 'utf8'), 'image');
  assert.equal((await stat(join(found.folder, 'root.img'))).mode & 0o777, 0o444);
  assert.equal((await stat(found.folder)).mode & 0o777, 0o755);
});

test('other bytes under the same name have another digest', async () => {
  await using stack = new AsyncDisposableStack();
  const { store: artifacts } = await store(stack);
  await publish(artifacts, 'root-bash-1', 'image');
  const before = await artifacts.find('root-bash-1');
  await publish(artifacts, 'root-bash-1', 'imagE');
  assert.notEqual((await artifacts.find('root-bash-1'))?.digest, before?.digest);
});

test('an interrupted build is not found, and the next one cleans it', async () => {
  await using stack = new AsyncDisposableStack();
  const { store: artifacts, root } = await store(stack);
  await writeFile(join(await artifacts.workspace(), 'root.img'), 'half');
  assert.equal(await artifacts.find('root-bash-1'), undefined);
  await artifacts.clean();
  assert.deepEqual(await readdir(join(root, 'tmp')), []);
});

test('pruning leaves what is wanted', async () => {
  await using stack = new AsyncDisposableStack();
  const { store: artifacts } = await store(stack);
  await publish(artifacts, 'old', 'a');
  await publish(artifacts, 'current', 'b');
  assert.deepEqual(await artifacts.prune(({ name }) => name === 'current'), ['old']);
  assert.equal(await artifacts.find('old'), undefined);
  assert.ok(await artifacts.find('current'));
});
