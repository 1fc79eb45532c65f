import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Idempotency } from './idempotency.ts';
import { Seal } from './keys/sealed.ts';
import { Store } from './store.ts';

test('the same key and request name the same thing for a day; another request is a conflict', () => {
  let now = 1_000_000;
  const keys = new Idempotency(new Store(':memory:'), new Seal('ab'.repeat(32)), () => now);
  assert.equal(keys.find('boxes', 'k', { a: 1, b: { c: [1], d: 2 } }), undefined);
  keys.remember('boxes', 'k', { a: 1, b: { c: [1], d: 2 } }, 'box_1');
  assert.equal(keys.find('boxes', 'k', { b: { d: 2, c: [1] }, a: 1 }), 'box_1', 'whatever the order of the fields');
  assert.equal(keys.find('tasks/box_1', 'k', { a: 1 }), undefined, 'scopes are apart');
  assert.throws(() => keys.find('boxes', 'k', { a: 2 }), { code: 'idempotency_conflict' });
  keys.forget('boxes', 'box_1');
  assert.equal(keys.find('boxes', 'k', { a: 2 }), undefined);
  keys.remember('boxes', 'k', { a: 2 }, 'box_2');
  now += 24 * 3600 * 1000;
  assert.equal(keys.find('boxes', 'k', { a: 3 }), undefined, 'forgotten after a day');
  keys.prune();
});
