import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServicesDouble, startServer } from '@citb/testkit/services/index.ts';
import { Citb } from './index.ts';

test('a box sleeps, wakes, is changed, and tells of it', async () => {
  await using services = await createServicesDouble();
  await using server = await startServer(services, { apiKey: 'key-of-the-sdk-tests' });
  await using citb = new Citb({ url: server.url, apiKey: 'key-of-the-sdk-tests' });
  const until = new Date('2030-01-01T00:00:00Z');
  const box = await citb.boxes.create({ idleS: 60, keepAliveUntil: until, timeoutS: 3600, onTimeout: 'pause' });
  assert.deepEqual([box.info.idle_s, box.info.keep_alive_until, box.info.on_timeout], [60, until.toISOString(), 'pause']);

  const seen: string[] = [];
  const following = (async () => {
    for await (const { type } of box.events()) seen.push(type);
  })();
  assert.equal((await box.pause()).state, 'paused');
  assert.equal(box.info.state, 'paused');
  assert.equal((await box.resume()).state, 'running');
  assert.equal((await box.stop()).state, 'stopped');
  await assert.rejects(box.pause(), { name: 'ApiError', code: 'box_not_running' });
  const changed = await box.update({ keepAliveUntil: null, timeoutS: null, labels: { team: 'x' } });
  assert.deepEqual([changed.keep_alive_until, changed.expires, changed.labels, changed.idle_s], [null, null, { team: 'x' }, 60]);
  const end = performance.now() + 20_000;
  while (!seen.includes('updated')) {
    assert.ok(performance.now() < end, 'the events came');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await box.kill();
  await following;
  assert.deepEqual(seen, ['created', 'running', 'paused', 'running', 'stopped', 'updated', 'killed']);

  const last: number[] = [];
  const other = await citb.boxes.create();
  for await (const { seq } of other.events({ after: 1 })) {
    last.push(seq);
    if (seq === 2) await other.kill();
  }
  assert.deepEqual(last, [2, 3]);
  await citb.boxes.create({ id: 'b1' });
  assert.deepEqual(await citb.drain(1), { paused: ['b1'], left: [] });
});
