import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createLog } from '@citb/daemon';
import { BoxEvents } from './events/events.ts';
import { Activity } from './activity.ts';
import { busyShare, IdleWatch } from './idle.ts';
import { type Daemon, Testbed } from './testbed.ts';

const start = { userId: 'ada', runtime: 'bash', envVars: {}, idleS: 600 };

/** A daemon whose boxes are looked at by hand, with a clock set by hand. */
async function bench(request = start) {
  const bed = new Testbed();
  const daemon = bed.daemon();
  const { box } = await daemon.boxes.create(request);
  const activity = new Activity(() => bed.now);
  const machine = bed.machine(box.run_id ?? '');
  const pauses: Promise<unknown>[] = [];
  const watch = new IdleWatch({
    live: daemon.live,
    rows: daemon.rows,
    events: new BoxEvents(bed.store, () => bed.now),
    activity,
    cpuTime: ({ runId }) => bed.machines.get(runId)?.cpuMs,
    busy: () => false,
    heldMib: () => 256,
    pause: async (id, _why, still) => {
      // As the writer does: asked again when it is this box's turn.
      if (!still()) return;
      const paused = daemon.boxes.pause(id);
      pauses.push(paused);
      await paused;
    },
    log: createLog('test', 'silent'),
    now: () => bed.now,
  });
  watch.look();
  /** Time goes by, with a look every 5 s in which the machine uses this share of a core. */
  const pass = async (seconds: number, share = 0): Promise<string> => {
    for (let left = seconds; left > 0; left -= 5) {
      bed.now += 5000;
      machine.cpuMs += 5000 * share;
      watch.look();
      await Promise.all(pauses);
    }
    return (await daemon.boxes.get(box.id)).state;
  };
  return {
    daemon,
    box,
    activity,
    machine,
    watch,
    pass,
    [Symbol.dispose]: () => bed[Symbol.dispose](),
  };
}

const warnings = (daemon: Daemon, id: string): unknown[] =>
  daemon.eventsOf(id).flatMap(({ type, content }) => (type === 'idle_warning' ? [content['at']] : []));

suite('an idle box', () => {
  test('is paused after its time, and warned a minute before', async () => {
    using world = await bench();
    const { daemon, box, pass } = world;
    assert.equal(await pass(535), 'running');
    assert.equal(warnings(daemon, box.id).length, 0);
    assert.equal(await pass(10), 'running');
    assert.deepEqual(warnings(daemon, box.id), [new Date(1_700_000_000_000 + 600_000).toISOString()]);
    assert.equal(await pass(50), 'running');
    assert.equal(warnings(daemon, box.id).length, 1);
    assert.equal(await pass(5), 'paused');
    assert.equal((await daemon.access.awake(box.id)).id, box.id);
  });

  test('is not one in which something goes on, however silent it is', async () => {
    using world = await bench();
    const { activity, box, pass } = world;
    const task = activity.enter(box.id);
    assert.equal(await pass(7200), 'running');
    task[Symbol.dispose]();
    task[Symbol.dispose]();
    assert.equal(await pass(595), 'running');
    assert.equal(await pass(5), 'paused');
  });

  test('is not one whose machine is at work, but one whose machine only ticks', async () => {
    using world = await bench();
    const { pass } = world;
    assert.equal(await pass(3600, busyShare * 1.2), 'running');
    assert.equal(await pass(595, busyShare * 0.8), 'running');
    assert.equal(await pass(5, busyShare * 0.8), 'paused');
  });

  test('is kept alive until the moment that was set', async () => {
    using world = await bench();
    const { daemon, box, pass } = world;
    await daemon.boxes.update(box.id, { keepAliveUntil: 1_700_000_000_000 + 3_600_000 });
    assert.equal(await pass(3595), 'running');
    assert.equal(warnings(daemon, box.id).length, 1);
    assert.equal(await pass(5), 'paused');
  });

  test('is never paused when its idle time is 0; a new idle time counts at once', async () => {
    using world = await bench({ ...start, idleS: 0 });
    const { daemon, box, pass } = world;
    assert.equal(await pass(7200), 'running');
    assert.equal((await daemon.boxes.update(box.id, { idleS: 7205 })).idle_s, 7205);
    assert.equal(await pass(5), 'running', 'first the warning');
    assert.equal(await pass(61), 'paused');
    assert.deepEqual(
      daemon
        .eventsOf(box.id)
        .slice(-2)
        .map(({ type }) => type),
      ['idle_warning', 'paused'],
    );
  });

  test('is left alone when something begins in it before it is its turn', async () => {
    using world = await bench();
    const { activity, box, pass, watch } = world;
    await pass(595);
    activity.enter(box.id)[Symbol.dispose]();
    watch.look();
    assert.equal(await pass(595), 'running');
    assert.equal(await pass(5), 'paused');
  });
});

test('by itself: the daemon pauses a box that rests, and a request wakes it', async () => {
  using bed = new Testbed();
  const daemon = bed.daemon();
  await daemon.reconcile();
  const { box } = await daemon.boxes.create({ ...start, idleS: 1 });
  const ticking = setInterval(() => (bed.now += 100), 20);
  try {
    const busy = daemon.access.use(box.id);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.equal((await daemon.boxes.get(box.id)).state, 'running');
    busy[Symbol.dispose]();
    const end = performance.now() + 20_000;
    while ((await daemon.boxes.get(box.id)).state !== 'paused') {
      assert.ok(performance.now() < end, 'not paused');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal((await daemon.access.awake(box.id)).id, box.id);
  } finally {
    clearInterval(ticking);
    await daemon.close();
  }
});
