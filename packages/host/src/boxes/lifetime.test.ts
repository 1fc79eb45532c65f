import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Daemon, Testbed } from './testbed.ts';

const ada = { userId: 'ada', runtime: 'bash', envVars: {} };

async function until(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await check())) {
    assert.ok(performance.now() < end, `waited too long for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Moves the clock and has the daemon look at it. */
async function pass(bed: Testbed, daemon: Daemon, seconds: number): Promise<void> {
  bed.now += seconds * 1000;
  await daemon.reconcile();
}

const types = (daemon: Daemon, id: string): string[] => daemon.eventsOf(id).map(({ type }) => type);

suite('the end of a box’s time', () => {
  for (const onTimeout of ['pause', 'stop'] as const)
    test(`${onTimeout}: a warning, then it is ${onTimeout === 'pause' ? 'paused' : 'stopped'}; a wake begins the time anew`, async () => {
      using bed = new Testbed();
      const daemon = bed.daemon();
      const { box } = await daemon.boxes.create({ ...ada, timeoutS: 3600, onTimeout });
      assert.equal(box.on_timeout, onTimeout);
      await pass(bed, daemon, 3541);
      await until('the warning', () => types(daemon, box.id).includes('expiry_warning'));
      assert.deepEqual(daemon.eventsOf(box.id).at(-1)?.content, { at: box.expires, action: onTimeout });
      assert.equal((await daemon.boxes.get(box.id)).state, 'running');
      await pass(bed, daemon, 60);
      const asleep = onTimeout === 'pause' ? 'paused' : 'stopped';
      await until('its end', async () => (await daemon.boxes.get(box.id)).expires === null);
      assert.equal((await daemon.boxes.get(box.id)).state, asleep);
      assert.deepEqual(daemon.eventsOf(box.id).at(-1), { type: asleep, content: { why: 'timeout' } });
      const woken = await daemon.boxes.resume(box.id);
      assert.equal(woken.expires, new Date(bed.now + 3_600_000).toISOString());
      await pass(bed, daemon, 3601);
      await until('its second end', async () => (await daemon.boxes.get(box.id)).state === asleep);
      await daemon.close();
    });

  test('kill: it is gone, also when it was paused meanwhile', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create({ ...ada, timeoutS: 100 });
    await daemon.boxes.pause(box.id);
    await pass(bed, daemon, 101);
    await until('its end', () => daemon.rows.count() === 0);
    await daemon.close();
  });

  test('a box that was given more time lives on, and is warned again', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create({ ...ada, timeoutS: 100 });
    await pass(bed, daemon, 95);
    await until('the warning', () => types(daemon, box.id).includes('expiry_warning'));
    const longer = await daemon.boxes.update(box.id, { timeoutS: 100, labels: { team: 'x' } });
    assert.equal(longer.expires, new Date(bed.now + 100_000).toISOString());
    assert.deepEqual(longer.labels, { team: 'x' });
    assert.deepEqual(daemon.eventsOf(box.id).at(-1), { type: 'updated', content: { changed: ['labels', 'timeout_s'] } });
    await pass(bed, daemon, 95);
    await until('the second warning', () => types(daemon, box.id).filter((type) => type === 'expiry_warning').length === 2);
    assert.equal((await daemon.boxes.update(box.id, { timeoutS: null })).expires, null);
    await pass(bed, daemon, 1000);
    assert.equal((await daemon.boxes.get(box.id)).state, 'running');
    await daemon.close();
  });
});

suite('a machine that goes down', () => {
  test('all boxes are saved, the one used last first; nothing is begun after it; the next daemon has them, paused', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const made = [];
    for (const userId of ['a', 'b', 'c', 'd', 'e', 'f']) {
      made.push((await daemon.boxes.create({ ...ada, userId })).box.id);
      bed.now += 1000;
      daemon.access.use(made.at(-1) ?? '')[Symbol.dispose]();
    }
    const begun = new Set<string>();
    bed.atStep = (step) => {
      if (step === 'vm pause') for (const row of daemon.rows.all()) if (row.intent === 'pause') begun.add(row.id);
    };
    const { paused, left } = await daemon.drain(AbortSignal.timeout(20_000));
    assert.deepEqual(new Set([...begun].slice(0, 4)), new Set(made.slice(-4)));
    assert.deepEqual(new Set(paused), new Set(made));
    assert.deepEqual(left, []);
    assert.equal(bed.machines.size, 0);
    await assert.rejects(daemon.access.awake(made[0] ?? ''), { code: 'host_stopping' });
    await daemon.close();
    const next = bed.daemon();
    await next.reconcile();
    for (const id of made) assert.equal((await next.boxes.get(id)).state, 'paused');
    let wanted = false;
    void next.access.wanted(made[0] ?? '', new AbortController().signal).then(() => (wanted = true));
    await until('what went on in it by itself goes on', () => wanted);
  });

  test('boxes that are not saved at the deadline are named, and are there afterwards', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const made = [];
    for (const userId of ['a', 'b', 'c', 'd', 'e', 'f']) made.push((await daemon.boxes.create({ ...ada, userId })).box.id);
    let saves = 0;
    bed.atStep = async (step) => {
      if (step !== 'vm snapshot') return;
      saves += 1;
      if (saves > 2) await new Promise<void>(() => {});
    };
    const deadline = new AbortController();
    const drained = daemon.drain(deadline.signal);
    await until('two are saved, in whose place the last two have begun', () => saves === made.length);
    deadline.abort();
    const { paused, left } = await drained;
    assert.equal(paused.length, 2);
    assert.deepEqual(new Set([...paused, ...left]), new Set(made));
    bed.atStep = () => {};
    const next = bed.daemon();
    await next.reconcile();
    for (const id of left) assert.equal((await next.boxes.get(id)).state, 'running', 'its machine still was there');
    for (const id of paused) assert.equal((await next.boxes.get(id)).state, 'paused');
  });
});
