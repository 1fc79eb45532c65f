import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { ApiError } from '@citb/api';
import { type Tree, openTree } from './tree.ts';

/** For tests: a tree in a fresh folder, and beside it what must not be reached. */
export interface World {
  readonly root: string;
  /** A folder with one file, `secret`, which holds "secret". */
  readonly outside: string;
  readonly tree: Tree;
}

export async function world(t: TestContext): Promise<World> {
  const base = await mkdtemp(join(tmpdir(), 'citb-tree-'));
  t.after(() => rm(base, { recursive: true, force: true }));
  const root = join(base, 'workspace');
  const outside = join(base, 'outside');
  mkdirSync(root);
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
  return { root, outside, tree: openTree({ root, confined: true }) };
}

/** For `assert.rejects`: an ApiError of this code. */
export function code(expected: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.code, expected, error.message);
    return true;
  };
}

export async function readText(tree: Tree, path: string): Promise<string> {
  const file = await tree.open(path);
  return (await buffer(file.stream(0, file.stats.size - 1))).toString();
}

export function bytes(value: string): Buffer[] {
  return [Buffer.from(value)];
}
