import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Box, BoxEvent, HostHealth } from '@citb/api';
import { refused, testClient } from '@citb/testkit/services/index.ts';

test('a box is paused, resumed and stopped, each as often as one likes', async (t) => {
  const { call } = await testClient(t);
  await call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  const state = async (verb: string) => ((await (await call('POST', `/v1/boxes/b1/${verb}`)).json()) as Box).state;
  for (const [verb, expected] of [
    ['pause', 'paused'],
    ['resume', 'running'],
    ['stop', 'stopped'],
  ] as const)
    for (let twice = 0; twice < 2; twice += 1) assert.equal(await state(verb), expected);
  await refused(await call('POST', '/v1/boxes/b1/pause'), 'box_not_running');
  for (const verb of ['pause', 'resume', 'stop']) await refused(await call('POST', `/v1/boxes/nobody/${verb}`), 'box_not_found');
  assert.equal((await call('GET', '/v1/boxes/b1/pause')).headers.get('allow'), 'POST, OPTIONS');
});

test('settings come with the creation and are changed by PATCH, one by one', async (t) => {
  const { call, services } = await testClient(t);
  const until = '2030-01-01T00:00:00+02:00';
  const json = { id: 'b1', runtime: 'bash', idle_s: 60, keep_alive_until: until, timeout_s: 100, on_timeout: 'pause' };
  const box = (await (await call('POST', '/v1/boxes', { json })).json()) as Box;
  assert.deepEqual([box.idle_s, box.keep_alive_until, box.on_timeout], [60, '2029-12-31T22:00:00.000Z', 'pause']);
  assert.equal(services.boxes.lastRequest?.keepAliveUntil, Date.parse(until));

  const patch = async (change: object) => (await (await call('PATCH', '/v1/boxes/b1', { json: change })).json()) as Box;
  assert.deepEqual(await patch({}), box);
  assert.deepEqual(await patch({ idle_s: 0 }), { ...box, idle_s: 0 });
  assert.equal((await patch({ keep_alive_until: null })).keep_alive_until, null);
  assert.equal((await patch({ timeout_s: null })).expires, null);
  assert.deepEqual((await patch({ labels: { team: 'x' } })).labels, { team: 'x' });
  for (const bad of [
    { idle_s: -1 },
    { idle_s: 1.5 },
    { timeout_s: 0 },
    { on_timeout: 'explode' },
    { keep_alive_until: 'soon' },
    { memory_mib: 1 },
  ])
    await refused(await call('PATCH', '/v1/boxes/b1', { json: bad }), 'invalid_request');
  await refused(await call('PATCH', '/v1/boxes/nobody', { json: {} }), 'box_not_found');
});

test('events of a box are replayed from any place and end when it is killed', async (t) => {
  const { call } = await testClient(t);
  await call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  await call('POST', '/v1/boxes/b1/pause');
  const stream = await call('GET', '/v1/boxes/b1/events?after=1');
  const sse = await call('GET', '/v1/boxes/b1/events', { headers: { Accept: 'text/event-stream', 'Last-Event-ID': '2' } });
  await call('DELETE', '/v1/boxes/b1');
  const events = (await stream.text())
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as BoxEvent);
  assert.deepEqual(
    events.map(({ seq, type }) => [seq, type]),
    [
      [2, 'running'],
      [3, 'paused'],
      [4, 'killed'],
    ],
  );
  assert.match(await sse.text(), /^retry: 1000\n\nid: 3\ndata: .*"paused".*\n\nid: 4\ndata: .*"killed"/);
  await refused(await call('GET', '/v1/boxes/b1/events'), 'box_not_found');
});

test('a host that is drained says what it saved, and that it takes nothing more', async (t) => {
  const { call } = await testClient(t);
  await call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  await refused(await call('POST', '/v1/host/drain', { json: { deadline_s: 0 } }), 'invalid_request');
  const drained = await call('POST', '/v1/host/drain', { json: {} });
  assert.deepEqual(await drained.json(), { paused: ['b1'], left: [] });
  const health = await call('GET', '/health');
  assert.equal(health.status, 503);
  assert.equal(((await health.json()) as HostHealth).status, 'stopping');
});
