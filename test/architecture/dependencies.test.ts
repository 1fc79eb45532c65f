import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { glob } from 'node:fs/promises';
import { test } from 'node:test';

/** DESIGN: `cli, mcp, web -> sdk -> api <- daemon <- host, guest, gateway`; `images -> api`; testkit for tests, bench and demo only. */
const allowed: Record<string, readonly string[]> = {
  api: [],
  daemon: ['api'],
  guest: ['api', 'daemon'],
  host: ['api', 'daemon', 'images'],
  images: ['api'],
  gateway: ['api', 'daemon'],
  sdk: ['api'],
  cli: ['api', 'sdk'],
  mcp: ['api', 'sdk'],
  web: ['api', 'sdk'],
  testkit: ['api', 'daemon', 'guest', 'host', 'images', 'sdk'],
};

const root = new URL('../../', import.meta.url);

async function sources(pattern: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of glob(pattern, { cwd: root, exclude: (name) => name === 'node_modules' || name === 'gen' })) found.push(path);
  return found.toSorted();
}

function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

/** Contracts of the host that doubles implement. */
const typeOnly = new Set(['@citb/host/services.ts']);

test('packages depend on each other only along the arrows of the design', async () => {
  const wrong: string[] = [];
  for (const path of await sources('packages/*/src/**/*.ts')) {
    const from = path.split('/')[1] ?? '';
    const isTest = /(\.test|\/testbed)\.ts$/.test(path);
    for (const name of importsOf(await readFile(new URL(path, root), 'utf8'))) {
      const to = /^@citb\/([a-z]+)/.exec(name)?.[1];
      if (to === undefined || to === from) continue;
      // A test may name the types of what it stands in for.
      if (isTest && (to === 'testkit' || typeOnly.has(name))) continue;
      if (!(allowed[from] ?? []).includes(to)) wrong.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('no package reaches into another by a relative path', async () => {
  const wrong: string[] = [];
  for (const path of await sources('packages/*/src/**/*.ts')) {
    const home = new URL(path.split('/').slice(0, 2).join('/') + '/', root).pathname;
    for (const name of importsOf(await readFile(new URL(path, root), 'utf8'))) {
      if (name.startsWith('.') && !new URL(name, new URL(path, root)).pathname.startsWith(home)) wrong.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('every package named in the rule that exists has sources, and every package is in the rule', async () => {
  const names = new Set((await sources('packages/*/package.json')).map((path) => path.split('/')[1] ?? ''));
  assert.deepEqual(
    [...names].filter((name) => allowed[name] === undefined),
    [],
  );
});
