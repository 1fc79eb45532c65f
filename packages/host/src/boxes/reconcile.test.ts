import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { boxPaths, folderName } from './names.ts';
import { type Daemon, Testbed } from './testbed.ts';

const ada = { userId: 'ada', runtime: 'claude-agent', envVars: {} };

/** Lets the daemon come to the n-th step from now and never further, as kill -9 does. Resolves there. */
function dieAtStep(bed: Testbed, n: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let left = n;
  bed.atStep = (name) => {
    left -= 1;
    if (left > 0) return undefined;
    resolve(name);
    return new Promise<void>(() => {});
  };
  return promise;
}

/** What must hold once a daemon has put things right: rows, machines, folders and sockets agree. */
function agree(bed: Testbed, daemon: Daemon): void {
  const rows = daemon.rows.all();
  const running = rows.filter((row) => row.state === 'running');
  assert.deepEqual(
    [...bed.machines.keys()].toSorted(),
    running.map((row) => row.runId ?? '').toSorted(),
    'machines are those of running boxes',
  );
  assert.deepEqual(
    readdirSync(join(bed.dataDir, 'boxes')).toSorted(),
    rows.map((row) => folderName(row.id)).toSorted(),
    'folders are those of boxes',
  );
  assert.deepEqual([...daemon.sockets].toSorted(), running.map((row) => row.id).toSorted(), 'running boxes have their way out');
  for (const row of rows) {
    assert.equal(row.intent, null, 'nothing is half done');
    assert.notEqual(row.state, 'creating');
    assert.equal(daemon.access.ifRunning(row.id) !== undefined, row.state === 'running');
  }
}

suite('after a daemon was killed', () => {
  test('the next one finds its running boxes again, with process, address and token', async () => {
    using bed = new Testbed();
    const first = bed.daemon();
    const { box } = await first.boxes.create(ada);
    const token = first.access.ifRunning(box.id)?.accessToken;
    const second = bed.daemon();
    const started: string[] = [];
    second.access.onStarted((one) => started.push(one.id));
    assert.deepEqual((await second.reconcile()).cleaned, { processes: [], folders: [], rows: [], cgroups: [] });
    assert.deepEqual(started, [box.id]);
    assert.equal(second.access.ifRunning(box.id)?.accessToken, token);
    assert.deepEqual(await second.boxes.get(box.id), box);
    agree(bed, second);
    bed.machine(box.run_id ?? '').crash();
    await turn();
    assert.equal((await second.boxes.get(box.id)).state, 'stopped', 'the end of an adopted machine is noticed');
  });

  test('a machine that ended meanwhile: its box is stopped and keeps its disk', async () => {
    using bed = new Testbed();
    const { box } = await bed.daemon().boxes.create(ada);
    bed.machines.delete(box.run_id ?? '');
    const second = bed.daemon();
    await second.reconcile();
    assert.equal((await second.boxes.get(box.id)).state, 'stopped');
    assert.ok(existsSync(join(bed.dataDir, 'boxes', box.id, 'disk.img')));
    agree(bed, second);
    assert.equal((await second.boxes.create(ada)).box.id, box.id);
  });

  for (let n = 1; n <= 10; n += 1) {
    test(`in the middle of a creation, at step ${n}: it is taken back, and the same request makes the box`, async () => {
      using bed = new Testbed();
      const dead = dieAtStep(bed, n);
      bed
        .daemon()
        .boxes.create(ada, 'key')
        .catch(() => undefined);
      await dead;
      bed.atStep = () => {};
      const next = bed.daemon();
      await next.reconcile();
      agree(bed, next);
      assert.equal(next.rows.count(), 0);
      const made = await next.boxes.create(ada, 'key');
      assert.equal(made.created, true);
      agree(bed, next);
    });
  }

  for (let n = 1; n <= 9; n += 1) {
    test(`in the middle of a restart of a box, at step ${n}: the box is there and starts`, async () => {
      using bed = new Testbed();
      const first = bed.daemon();
      const { box } = await first.boxes.create(ada);
      bed.machine(box.run_id ?? '').crash();
      while (first.rows.get(box.id)?.state !== 'stopped' || first.sockets.size > 0) await turn();
      const dead = dieAtStep(bed, n);
      first.access.awake(box.id).catch(() => undefined);
      await dead;
      bed.atStep = () => {};
      const next = bed.daemon();
      await next.reconcile();
      agree(bed, next);
      assert.equal((await next.access.awake(box.id)).id, box.id);
      agree(bed, next);
    });
  }

  for (let n = 1; n <= 8; n += 1) {
    test(`in the middle of a pause, at step ${n}: it is completed or taken back, and nothing is lost`, async () => {
      using bed = new Testbed();
      const first = bed.daemon();
      const { box } = await first.boxes.create(ada);
      const { memory } = bed.machine(box.run_id ?? '');
      const dead = dieAtStep(bed, n);
      first.boxes.pause(box.id).catch(() => undefined);
      const step = await dead;
      bed.atStep = () => {};
      const next = bed.daemon();
      await next.reconcile();
      agree(bed, next);
      const saved = ['vm kill', 'vm killed'].includes(step) || (step === 'broker closed' && n > 2);
      assert.equal((await next.boxes.get(box.id)).state, saved ? 'paused' : 'running', step);
      const { runId } = await next.access.awake(box.id);
      assert.equal(bed.machine(runId).memory, memory);
      assert.equal(bed.machine(runId).paused, false);
      agree(bed, next);
    });
  }

  test('in the middle of a pause, and the machine has ended too: the box boots from its disk', async () => {
    using bed = new Testbed();
    const first = bed.daemon();
    const { box } = await first.boxes.create(ada);
    const dead = dieAtStep(bed, 5);
    first.boxes.pause(box.id).catch(() => undefined);
    assert.equal(await dead, 'vm saved');
    bed.machines.delete(box.run_id ?? '');
    bed.atStep = () => {};
    const next = bed.daemon();
    await next.reconcile();
    agree(bed, next);
    assert.equal((await next.boxes.get(box.id)).state, 'stopped');
    assert.equal(next.eventsOf(box.id).at(-1)?.type, 'lost');
    await next.access.awake(box.id);
    agree(bed, next);
  });

  for (const [index, step] of ['disk', 'disk made', 'broker', 'restore', 'loaded', 'restored', 'init', 'agent'].entries()) {
    test(`in the middle of a wake, before ${step}: its memory is there, and a machine that may have run is the one that goes on`, async () => {
      using bed = new Testbed();
      const first = bed.daemon();
      const { box } = await first.boxes.create(ada);
      const { memory } = bed.machine(box.run_id ?? '');
      await first.boxes.pause(box.id);
      const dead = dieAtStep(bed, index + 1);
      first.access.awake(box.id).catch(() => undefined);
      assert.equal(await dead, step);
      const [begun] = bed.machines.keys();
      bed.atStep = () => {};
      const next = bed.daemon();
      await next.reconcile();
      agree(bed, next);
      const { runId } = await next.access.awake(box.id);
      agree(bed, next);
      assert.deepEqual([bed.machine(runId).memory, bed.machine(runId).paused], [memory, false]);
      if (['restored', 'init', 'agent'].includes(step)) assert.equal(runId, begun);
      else assert.notEqual(runId, begun);
      assert.ok(!next.eventsOf(box.id).some(({ type }) => type === 'wake_failed'));
    });
  }

  test('in the middle of a wake, and the machine has ended too: old memory does not meet the newer disk, and an event says so', async () => {
    using bed = new Testbed();
    const first = bed.daemon();
    const { box } = await first.boxes.create(ada);
    const { memory } = bed.machine(box.run_id ?? '');
    await first.boxes.pause(box.id);
    const dead = dieAtStep(bed, 6);
    first.access.awake(box.id).catch(() => undefined);
    assert.equal(await dead, 'restored');
    bed.machines.clear();
    bed.atStep = () => {};
    const next = bed.daemon();
    await next.reconcile();
    agree(bed, next);
    assert.equal((await next.boxes.get(box.id)).state, 'stopped');
    assert.equal(next.eventsOf(box.id).at(-1)?.type, 'wake_failed');
    const { runId } = await next.access.awake(box.id);
    assert.notEqual(bed.machine(runId).memory, memory);
    agree(bed, next);
  });

  for (let n = 1; n <= 3; n += 1) {
    test(`in the middle of a stop, at step ${n}: it is completed`, async () => {
      using bed = new Testbed();
      const first = bed.daemon();
      const { box } = await first.boxes.create(ada);
      const dead = dieAtStep(bed, n);
      first.boxes.stop(box.id).catch(() => undefined);
      await dead;
      bed.atStep = () => {};
      const next = bed.daemon();
      await next.reconcile();
      agree(bed, next);
      assert.equal((await next.boxes.get(box.id)).state, 'stopped');
      await next.access.awake(box.id);
      agree(bed, next);
    });
  }

  test('right after a wake: what was saved of the machine is used up, and does not stay', async () => {
    using bed = new Testbed();
    const { box } = await bed.daemon().boxes.create(ada);
    const saved = join(boxPaths(bed.dataDir, box.id).folder, 'pause');
    mkdirSync(saved);
    const next = bed.daemon();
    await next.reconcile();
    assert.ok(!existsSync(saved));
    assert.equal((await next.boxes.get(box.id)).run_id, box.run_id);
  });

  test('paused boxes are there, paused, and need no process', async () => {
    using bed = new Testbed();
    const first = bed.daemon();
    const { box } = await first.boxes.create(ada);
    await first.boxes.pause(box.id);
    const next = bed.daemon();
    await next.reconcile();
    agree(bed, next);
    assert.equal((await next.boxes.get(box.id)).state, 'paused');
    assert.equal((await next.access.awake(box.id)).id, box.id);
  });

  for (let n = 1; n <= 3; n += 1) {
    test(`in the middle of a kill, at step ${n}: it is completed`, async () => {
      using bed = new Testbed();
      const first = bed.daemon();
      const { box } = await first.boxes.create(ada);
      const dead = dieAtStep(bed, n);
      first.boxes.kill(box.id).catch(() => undefined);
      await dead;
      bed.atStep = () => {};
      const next = bed.daemon();
      const killed: string[] = [];
      next.access.onKilled((id) => void killed.push(id));
      assert.deepEqual((await next.reconcile()).cleaned.rows, [box.id]);
      assert.deepEqual(killed, [box.id]);
      agree(bed, next);
      assert.equal(next.rows.count(), 0);
    });
  }
});

suite('maintenance', () => {
  test('cleans machines and folders without a box, says so, and touches nothing that lives', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    const other = new Testbed();
    const stray = (await other.daemon().boxes.create(ada)).box;
    bed.machines.set(stray.run_id ?? '', other.machine(stray.run_id ?? ''));
    const folder = join(bed.dataDir, 'boxes', 'left_behind');
    mkdirSync(folder);
    writeFileSync(join(folder, 'disk.img'), 'x');
    const { cleaned } = await daemon.reconcile();
    assert.deepEqual(cleaned, { processes: [stray.pid], folders: [folder], rows: [], cgroups: [] });
    assert.equal((await daemon.boxes.get(box.id)).pid, box.pid);
    other[Symbol.dispose]();
  });

  test('leaves a creation in flight alone, at each of its steps', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const reports: unknown[] = [];
    bed.atStep = async (name) => {
      if (name !== 'reap') reports.push((await daemon.reconcile()).cleaned);
    };
    const { box } = await daemon.boxes.create(ada);
    assert.equal(box.state, 'running');
    assert.ok(reports.length >= 9);
    for (const cleaned of reports) assert.deepEqual(cleaned, { processes: [], folders: [], rows: [], cgroups: [] });
  });

  test('a living machine that cannot be reached is left alone and adopted later', async () => {
    using bed = new Testbed();
    const { box } = await bed.daemon().boxes.create(ada);
    bed.atStep = (name) => {
      if (name === 'adopt') throw new Error('the socket is busy');
    };
    const next = bed.daemon();
    await next.reconcile();
    assert.equal(bed.machines.size, 1);
    bed.atStep = () => {};
    await next.reconcile();
    assert.equal(next.access.ifRunning(box.id)?.vm.record.pid, box.pid);
  });

  test('calls at once share one run', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    assert.equal(daemon.reconcile(), daemon.reconcile());
    await daemon.reconcile();
  });
});
