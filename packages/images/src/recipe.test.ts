import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, folderRecipe, keyOf } from './recipe.ts';

async function folder(stack: AsyncDisposableStack): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'citb-recipe-'));
  stack.defer(() => rm(path, { recursive: true }));
  await mkdir(join(path, 'sub'));
  await writeFile(join(path, 'Dockerfile'), 'FROM scratch\n');
  await writeFile(join(path, 'sub/script'), 'true\n', { mode: 0o644 });
  return path;
}

test('a recipe changes with content, name, executable bit and link target, and not with times', async () => {
  await using stack = new AsyncDisposableStack();
  const path = await folder(stack);
  const keys = new Set<string>();
  const differs = async (): Promise<void> => {
    const key = keyOf(await folderRecipe(path));
    assert.ok(!keys.has(key), 'the key has not changed');
    keys.add(key);
  };
  await differs();
  await writeFile(join(path, 'sub/script'), 'false\n');
  await differs();
  await chmod(join(path, 'sub/script'), 0o755);
  await differs();
  await symlink('script', join(path, 'sub/link'));
  await differs();
  await rm(join(path, 'sub/link'));
  await symlink('other', join(path, 'sub/link'));
  await differs();
  await utimes(join(path, 'Dockerfile'), 1, 1);
  assert.ok(keys.has(keyOf(await folderRecipe(path))));
});

test('what is skipped is not part of the recipe', async () => {
  await using stack = new AsyncDisposableStack();
  const path = await folder(stack);
  const before = await folderRecipe(path, (name) => name === 'manifest.json');
  await writeFile(join(path, 'manifest.json'), '{}');
  assert.deepEqual(await folderRecipe(path, (name) => name === 'manifest.json'), before);
});

test('parts of a recipe do not run into each other', () => {
  assert.notEqual(keyOf('ab', 'c'), keyOf('a', 'bc'));
  assert.match(keyOf('x'), /^[0-9a-f]{16}$/);
});

test('the digest of a file is its SHA-256', async () => {
  await using stack = new AsyncDisposableStack();
  const path = await folder(stack);
  await writeFile(join(path, 'empty'), '');
  assert.equal(await digestOf(join(path, 'empty')), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});
