import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Box, LogLine } from '@citb/api';
import { refused, testClient } from '@citb/testkit/services/index.ts';

test('a box is created once, found, listed and killed', async (t) => {
  const { call } = await testClient(t);
  const json = { id: 'b1', user_id: 'u', runtime: 'python', labels: { team: 'data' }, memory_mib: 512, timeout_s: 60 };
  const created = await call('POST', '/v1/boxes', { json });
  assert.equal(created.status, 201);
  assert.equal(created.headers.get('location'), '/v1/boxes/b1');
  const box = (await created.json()) as Box;
  assert.equal(box.memory_mib, 512);
  assert.notEqual(box.expires, null);

  const again = await call('POST', '/v1/boxes', { json: { user_id: 'u', runtime: 'python' } });
  assert.equal(again.status, 200);
  const { usage, ...seen } = (await (await call('GET', '/v1/boxes/b1')).json()) as Box;
  assert.deepEqual(seen, box);
  assert.deepEqual(usage, { disk_bytes: 4096, saved_bytes: 0, checkpoint_bytes: 0, checkpoints: 0, total_bytes: 4096 });
  assert.equal((await call('HEAD', '/v1/boxes/b1')).status, 200);

  const killed = await call('DELETE', '/v1/boxes/b1');
  assert.equal(killed.status, 204);
  await refused(await call('GET', '/v1/boxes/b1'), 'box_not_found');
  await refused(await call('DELETE', '/v1/boxes/b1'), 'box_not_found');
});

test('the same Idempotency-Key is the same box', async (t) => {
  const { call } = await testClient(t);
  const create = (runtime: string, key = 'key-1') => call('POST', '/v1/boxes', { json: { runtime }, headers: { 'Idempotency-Key': key } });
  const first = (await (await create('python')).json()) as Box;
  const second = await create('python');
  assert.equal(second.status, 200);
  assert.equal(((await second.json()) as Box).id, first.id);
  await refused(await create('node'), 'idempotency_conflict');
  await refused(await create('python', 'has space'), 'invalid_request');
  await refused(await create('python', 'x'.repeat(256)), 'invalid_request');
});

test('boxes are listed by label, user and page', async (t) => {
  const { call } = await testClient(t);
  for (const [id, team] of [
    ['a', 'x'],
    ['b', 'y'],
    ['c', 'x'],
  ])
    await call('POST', '/v1/boxes', { json: { id, runtime: 'bash', user_id: `user ${id}`, labels: { team, all: 'yes=1' } } });
  const list = async (query: string) => (await (await call('GET', `/v1/boxes?${query}`)).json()) as { boxes: Box[]; next: string | null };
  const ids = async (query: string) => (await list(query)).boxes.map((box) => box.id);
  assert.deepEqual(await ids('label=team=x'), ['a', 'c']);
  assert.deepEqual(await ids('label=team=x&label=all=yes=1&unknown=1'), ['a', 'c']);
  assert.deepEqual(await ids('user_id=user+b'), ['b']);
  assert.deepEqual(await ids('state=stopped'), []);
  const page = await list('limit=2');
  assert.deepEqual(await ids(`limit=2&cursor=${page.next}`), ['c']);

  for (const query of ['limit=0', 'limit=x', 'limit=1001', 'limit=1&limit=2', 'state=gone', 'label=team', 'label==x'])
    await refused(await call('GET', `/v1/boxes?${query}`), 'invalid_request');
});

test('a box that cannot be made names the field', async (t) => {
  const { call } = await testClient(t);
  const fields = {
    id: '-x',
    disk_mib: 1,
    memory_mib: 1.5,
    cpus: '2',
    timeout_s: 0,
    labels: { 'a b': 'x' },
    user_id: '',
  };
  for (const [field, value] of Object.entries(fields)) {
    const body = await refused(await call('POST', '/v1/boxes', { json: { runtime: 'bash', [field]: value } }), 'invalid_request');
    assert.equal(body.error.field?.split('.')[0], field);
  }
  await call('POST', '/v1/boxes', { json: { id: 'taken', runtime: 'bash' } });
  await refused(await call('POST', '/v1/boxes', { json: { id: 'taken', runtime: 'bash' } }), 'box_exists');
});

test('a name that no box can have is answered like one that none has', async (t) => {
  const { call } = await testClient(t);
  for (const name of ['-x', 'x'.repeat(65), 'a%00b', 'a%2Fb', '%F0%9F%98%80'])
    await refused(await call('GET', `/v1/boxes/${name}`), 'box_not_found');
});

test('a log is read and followed in three forms', async (t) => {
  const { call, lines, services } = await testClient(t);
  await call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  services.boxes.note('b1', 'second');
  const tail = await Array.fromAsync(lines(await call('GET', '/v1/boxes/b1/logs?tail=1')));
  assert.deepEqual(
    tail.map((line) => line['line']),
    ['second'],
  );
  const text = await call('GET', '/v1/boxes/b1/logs', { headers: { Accept: 'text/plain' } });
  assert.match(await text.text(), /^\S+Z host created\n\S+Z host second\n$/);
  const events = await call('GET', '/v1/boxes/b1/logs?tail=1', { headers: { Accept: 'text/event-stream' } });
  assert.match(await events.text(), /^retry: 1000\n\ndata: \{.*"second"\}\n\n$/);

  const following = lines(await call('GET', '/v1/boxes/b1/logs?follow=true&tail=0'));
  services.boxes.note('b1', 'third');
  assert.equal(((await following.next()).value as unknown as LogLine).line, 'third');
  await following.return(undefined);
  await refused(await call('GET', '/v1/boxes/none/logs'), 'box_not_found');
  await refused(await call('GET', '/v1/boxes/b1/logs?follow=perhaps'), 'invalid_request');
});
