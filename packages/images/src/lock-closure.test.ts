import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lockClosure } from './lock-closure.ts';

const lock = {
  packages: {
    '': { version: '1.0.0' },
    'packages/guest': { dependencies: { '@citb/api': '*', hono: '4.0.0' } },
    'packages/api': { version: '0.1.0', dependencies: { zod: '4.0.0' } },
    'packages/web': { dependencies: { vite: '8.0.0' } },
    'node_modules/@citb/api': { resolved: 'packages/api', link: true },
    'node_modules/hono': { version: '4.0.0', optionalDependencies: { addon: '2.0.0', missing: '1.0.0' } },
    'node_modules/hono/node_modules/addon': { version: '2.0.0' },
    'node_modules/addon': { version: '1.0.0' },
    'node_modules/zod': { version: '4.0.0' },
    'node_modules/vite': { version: '8.0.0' },
  },
};

test('the closure follows workspaces and takes the nearest version, and leaves the other workspaces out', () => {
  assert.deepEqual(lockClosure(lock, 'packages/guest'), [
    'node_modules/@citb/api@local',
    'node_modules/hono/node_modules/addon@2.0.0',
    'node_modules/hono@4.0.0',
    'node_modules/zod@4.0.0',
    'packages/api@0.1.0',
    'packages/guest@local',
  ]);
});
