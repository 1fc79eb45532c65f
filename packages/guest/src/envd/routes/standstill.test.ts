import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testbed } from '../testbed.ts';

test('the host may ask for a flush and give the time, nobody else', async (t) => {
  const { url, request } = await testbed(t);
  const clock = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ timestamp: new Date().toISOString() }),
  };
  assert.equal((await request('/flush', { method: 'POST' })).status, 204);
  assert.equal((await request('/clock', clock)).status, 204);
  assert.equal((await request('/clock', { ...clock, body: '{"timestamp":"noon"}' })).status, 422);
  assert.equal((await fetch(`${url}/flush`, { method: 'POST' })).status, 401);
  assert.equal((await fetch(`${url}/clock`, clock)).status, 401);
});
