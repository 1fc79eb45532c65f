import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lockSatisfied } from './modules.mjs';

const wanted = {
  '': {},
  'packages/api': {},
  'node_modules/@citb/api': { resolved: 'packages/api', link: true },
  'node_modules/hono': { version: '4.0.0' },
  'node_modules/fsevents': { version: '2.0.0', optional: true },
};

test('what the lock file wants is installed', () => {
  assert.ok(lockSatisfied(wanted, { 'node_modules/hono': { version: '4.0.0' } }));
});

test('a missing package, another version, or another version of an optional one is seen', () => {
  assert.ok(!lockSatisfied(wanted, {}));
  assert.ok(!lockSatisfied(wanted, { 'node_modules/hono': { version: '3.0.0' } }));
  assert.ok(!lockSatisfied(wanted, { 'node_modules/hono': { version: '4.0.0' }, 'node_modules/fsevents': { version: '1.0.0' } }));
});
