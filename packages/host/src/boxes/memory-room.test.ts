import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { restedMs } from './idle.ts';
import { type Daemon, Testbed } from './testbed.ts';

const full = { name: 'ApiError', code: 'host_full' };

/** A host with memory for two boxes of 256 MiB, and these two boxes. */
async function fullHost() {
  const bed = new Testbed();
  const daemon = bed.daemon({ limits: { memoryMib: 800 } });
  const create = async (userId: string, more = {}): Promise<string> =>
    (await daemon.boxes.create({ userId, runtime: 'bash', envVars: {}, idleS: 600, ...more })).box.id;
  const [ada, bob] = [await create('ada'), await create('bob')];
  // They are seen for the first time: what they did before, nobody knows.
  await assert.rejects(create('eve'), full);
  return { bed, daemon, ada, bob, create, [Symbol.dispose]: () => bed[Symbol.dispose]() };
}

const states = async (daemon: Daemon, ...ids: string[]): Promise<string[]> =>
  await Promise.all(ids.map(async (id) => (await daemon.boxes.get(id)).state));

suite('a host that has no memory left', () => {
  test('puts the box to sleep that has rested longest, for a new one and for one that wakes', async () => {
    using host = await fullHost();
    const { bed, daemon, ada, bob, create } = host;
    bed.now += restedMs - 1;
    daemon.access.use(ada)[Symbol.dispose]();
    await assert.rejects(create('carol'), full);
    bed.now += 1000;
    const carol = await create('carol');
    assert.deepEqual(await states(daemon, ada, bob, carol), ['running', 'paused', 'running']);
    assert.deepEqual(daemon.eventsOf(bob).at(-1), { type: 'paused', content: { why: 'memory' } });

    await assert.rejects(daemon.access.awake(bob), full);
    assert.deepEqual(await states(daemon, bob), ['paused']);
    bed.now += restedMs;
    await daemon.access.awake(bob);
    assert.deepEqual(await states(daemon, ada, bob, carol), ['paused', 'running', 'running']);
  });

  test('leaves those alone that work, are kept alive, or never sleep; and all, if they are not enough', async () => {
    using host = await fullHost();
    const { bed, daemon, ada, bob, create } = host;
    bed.now += restedMs * 2;
    await assert.rejects(create('large', { memoryMib: 1024 }), full);
    const task = daemon.access.use(ada);
    await daemon.boxes.update(bob, { keepAliveUntil: bed.now + restedMs });
    await assert.rejects(create('carol'), full);
    await daemon.boxes.update(bob, { keepAliveUntil: null, idleS: 0 });
    await assert.rejects(create('carol'), full);
    assert.deepEqual(await states(daemon, ada, bob), ['running', 'running']);
    task[Symbol.dispose]();
    await assert.rejects(create('carol'), full);
    bed.now += restedMs;
    await create('carol');
    assert.deepEqual(await states(daemon, ada, bob), ['paused', 'running']);
  });

  test('leaves a box alone that is used while another sleeps for it', async () => {
    using host = await fullHost();
    const { bed, daemon, ada, bob, create } = host;
    bed.now += restedMs;
    bed.atStep = (name) => {
      if (name === 'flush') daemon.access.use(ada)[Symbol.dispose]();
    };
    const carol = await create('carol');
    assert.deepEqual(await states(daemon, ada, bob, carol), ['running', 'paused', 'running']);
  });

  test('takes many at once: each that fits gets its machine, and no box loses one for nothing', async () => {
    using host = await fullHost();
    const { bed, daemon, ada, bob } = host;
    bed.now += restedMs;
    const made = await Promise.allSettled(['c', 'd', 'e'].map((userId) => daemon.boxes.create({ userId, runtime: 'bash', envVars: {} })));
    assert.deepEqual(made.map(({ status }) => status).toSorted(), ['fulfilled', 'fulfilled', 'rejected']);
    assert.deepEqual(await states(daemon, ada, bob), ['paused', 'paused']);
  });
});
