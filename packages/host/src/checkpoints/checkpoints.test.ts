import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { suite, test } from 'node:test';
import { boxPaths } from '../boxes/names.ts';
import { Testbed } from '../boxes/testbed.ts';
import { checkpointFiles, checkpointsFolder, rolledBackDisk } from './paths.ts';
import { checkpointDaemon, dieAt, readDisk, writeDisk } from './testbed.ts';

const ada = { userId: 'ada', runtime: 'bash', envVars: {} };
const code = (expected: string) => ({ name: 'ApiError', code: expected });

suite('checkpoints', () => {
  test('a box that runs stands while it is copied and goes on; a restore brings back disk and memory', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints, rolledBack } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    const machine = bed.machine(box.run_id ?? '');
    writeDisk(bed, box.id, 'then');
    machine.memory = 'what it thought then';
    let stood = false;
    bed.atStep = (step) => {
      if (step === 'disk copy') stood = machine.paused;
    };
    const made = await checkpoints.create(box.id, { name: 'good', memory: true });
    assert.ok(stood, 'the disk was copied while the CPUs stood');
    assert.ok(!machine.paused, 'and they go on');
    assert.deepEqual([made.kind, made.memory, made.name, made.box_id], ['manual', true, 'good', box.id]);
    assert.deepEqual(await checkpoints.list(box.id), [made]);

    writeDisk(bed, box.id, 'now');
    machine.memory = 'what it thinks now';
    const restored = await checkpoints.restore(box.id, made.id);
    assert.equal(restored.state, 'running');
    assert.notEqual(restored.run_id, box.run_id);
    assert.equal(readDisk(bed, box.id), 'then');
    assert.equal(bed.machine(restored.run_id ?? '').memory, 'what it thought then');
    assert.deepEqual(rolledBack, [box.id]);
    assert.equal(bed.machines.size, 1);
    assert.deepEqual(await checkpoints.list(box.id), [made], 'one can go back again');
    assert.ok(daemon.eventsOf(box.id).some(({ type, content }) => type === 'rolled_back' && content['checkpoint'] === made.id));
    assert.equal(daemon.eventsOf(box.id).findLast(({ type }) => type === 'running')?.content['how'], 'restore');
  });

  test('without memory the box boots from the disk; memory that is damaged too', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    writeDisk(bed, box.id, 'then');
    const cold = await checkpoints.create(box.id, { memory: false });
    assert.equal(cold.memory, false);
    const warm = await checkpoints.create(box.id, { memory: true });
    for (const { id } of [cold, warm]) {
      writeDisk(bed, box.id, 'now');
      bed.steps.length = 0;
      bed.atStep = (step) => {
        if (step === 'restored') throw new Error('of another version');
      };
      assert.equal((await checkpoints.restore(box.id, id)).state, 'running');
      assert.ok(bed.steps.includes('boot'));
      assert.equal(readDisk(bed, box.id), 'then');
    }
  });

  test('a paused box is copied as it lies, a stopped one has its disk only; neither is woken', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    bed.machine(box.run_id ?? '').memory = 'asleep';
    await daemon.boxes.pause(box.id);
    const paused = await checkpoints.create(box.id, { memory: true });
    assert.equal(paused.memory, true);
    assert.equal((await daemon.boxes.get(box.id)).state, 'paused');
    await daemon.boxes.stop(box.id);
    const stopped = await checkpoints.create(box.id, { memory: true });
    assert.equal(stopped.memory, false);
    assert.equal((await daemon.boxes.get(box.id)).state, 'stopped');
    const restored = await checkpoints.restore(box.id, paused.id);
    assert.equal(bed.machine(restored.run_id ?? '').memory, 'asleep');
    await daemon.boxes.pause(box.id);
    await checkpoints.restore(box.id, stopped.id);
    assert.ok(!existsSync(`${boxPaths(bed.dataDir, box.id).folder}/pause`), 'the memory of the pause went with its disk');
  });

  test('a disk that was not written to since is shared, and outlives the checkpoint it came from', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    writeDisk(bed, box.id, 'old');
    const { disk } = boxPaths(bed.dataDir, box.id);
    const long = (bed.now - 60_000) / 1000;
    utimesSync(disk, long, long);
    const inode = (id: string): number => statSync(checkpointFiles(bed.dataDir, box.id, id).disk).ino;
    const first = await checkpoints.create(box.id, { memory: false });
    const second = await checkpoints.create(box.id, { memory: false });
    assert.equal(inode(second.id), inode(first.id));
    await checkpoints.remove(box.id, first.id);
    writeDisk(bed, box.id, 'new');
    const third = await checkpoints.create(box.id, { memory: false });
    assert.notEqual(inode(third.id), inode(second.id));
    await checkpoints.restore(box.id, second.id);
    assert.equal(readDisk(bed, box.id), 'old');
    writeDisk(bed, box.id, 'written to after the restore');
    await checkpoints.restore(box.id, second.id);
    assert.equal(readDisk(bed, box.id), 'old');
  });

  test('before tasks: the last few are kept, others stay; what is too large is said and does not stand in the way', async () => {
    using bed = new Testbed();
    const it = checkpointDaemon(bed, { automatic: 2, automaticBytes: 64 * 1024 });
    const { box } = await it.daemon.boxes.create(ada);
    const live = await it.daemon.access.awake(box.id);
    const manual = await it.checkpoints.create(box.id, { memory: false });
    for (const task of ['1', '2', '3']) await it.beforeTask(live, `task_0000000000000000000${task}`);
    const list = await it.checkpoints.list(box.id);
    assert.deepEqual(
      list.map(({ kind, task_id }) => [kind, task_id?.at(-1)]),
      [
        ['manual', undefined],
        ['auto', '2'],
        ['auto', '3'],
      ],
    );
    assert.equal(list[0]?.id, manual.id);
    writeDisk(bed, box.id, 'x'.repeat(200_000));
    await it.beforeTask(live, 'task_00000000000000000004');
    bed.atStep = (step) => {
      if (step === 'disk copy') throw new Error('broken');
    };
    writeDisk(bed, box.id, 'small');
    await it.beforeTask(live, 'task_00000000000000000005');
    assert.equal((await it.checkpoints.list(box.id)).length, 3);
    assert.ok(!bed.machine(box.run_id ?? '').paused);
    bed.atStep = () => {};
    assert.equal(await it.expireAutomatic(() => false), 2);
    assert.deepEqual(
      (await it.checkpoints.list(box.id)).map(({ id }) => id),
      [manual.id],
    );
  });

  test('an agent may make a few, not too often', async () => {
    using bed = new Testbed();
    const it = checkpointDaemon(bed);
    const { box } = await it.daemon.boxes.create(ada);
    await it.byAgent(box.id, 'one');
    await assert.rejects(it.byAgent(box.id, 'two'), code('box_busy'));
    for (let n = 2; n < 14; n++) {
      bed.now += 10_000;
      await it.byAgent(box.id, `number ${n}`);
    }
    const names = (await it.checkpoints.list(box.id)).map(({ name }) => name);
    assert.equal(names.length, 10);
    assert.equal(names[0], 'number 4');
  });

  test('what does not exist is said; a kill takes checkpoints with it', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints, rows } = checkpointDaemon(bed);
    await assert.rejects(checkpoints.create('nobody', { memory: true }), code('box_not_found'));
    const { box } = await daemon.boxes.create(ada);
    const { box: other } = await daemon.boxes.create({ ...ada, userId: 'bob' });
    const made = await checkpoints.create(other.id, { memory: true });
    for (const work of [checkpoints.restore(box.id, made.id), checkpoints.remove(box.id, made.id)])
      await assert.rejects(work, code('checkpoint_not_found'));
    await daemon.boxes.kill(other.id);
    assert.deepEqual(rows.of(other.id), []);
    assert.ok(!existsSync(boxPaths(bed.dataDir, other.id).folder));
  });

  test('when the disk is short nothing is copied, and the box goes on', async () => {
    using bed = new Testbed();
    const { daemon } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    await daemon.close();
    const next = checkpointDaemon(bed, {}, { diskReserveMib: 1e9 });
    await next.daemon.reconcile();
    await assert.rejects(next.checkpoints.create(box.id, { memory: true }), code('host_disk_full'));
    assert.ok(!bed.machine(box.run_id ?? '').paused);
    assert.deepEqual(readdirSync(checkpointsFolder(bed.dataDir, box.id)), []);
  });
});

/** Steps at which a daemon may be killed while it makes a checkpoint. */
const makingSteps = ['flush', 'vm pause', 'vm snapshot', 'vm saved', 'disk copy', 'disk copied', 'vm resume'];
/** And while it goes back to one. */
const restoringSteps = ['disk copy', 'disk copied', 'vm kill', 'vm killed', 'broker closed', 'restore', 'restored', 'init'];

suite('a daemon that is killed with -9', () => {
  for (const step of makingSteps)
    test(`at "${step}" of a checkpoint leaves a box that runs, and no half checkpoint`, async () => {
      using bed = new Testbed();
      const first = checkpointDaemon(bed);
      const { box } = await first.daemon.boxes.create(ada);
      const whole = await first.checkpoints.create(box.id, { memory: false });
      const died = dieAt(bed, step);
      void first.checkpoints.create(box.id, { memory: true });
      await died;
      bed.atStep = () => {};
      const next = checkpointDaemon(bed);
      await next.daemon.reconcile();
      await next.reconcile();
      assert.deepEqual(await next.checkpoints.list(box.id), [whole]);
      assert.deepEqual(readdirSync(checkpointsFolder(bed.dataDir, box.id)), [whole.id]);
      assert.equal((await next.daemon.boxes.get(box.id)).state, 'running');
      assert.ok(!bed.machine(box.run_id ?? '').paused, 'its CPUs run');
      assert.deepEqual(next.rows.unsettled(), []);
    });

  for (const step of restoringSteps)
    test(`at "${step}" of a rollback leaves the old state or the new one`, async () => {
      using bed = new Testbed();
      const first = checkpointDaemon(bed);
      const { box } = await first.daemon.boxes.create(ada);
      writeDisk(bed, box.id, 'then');
      const made = await first.checkpoints.create(box.id, { memory: true });
      writeDisk(bed, box.id, 'now');
      const died = dieAt(bed, step);
      void first.checkpoints.restore(box.id, made.id);
      await died;
      bed.atStep = () => {};
      const next = checkpointDaemon(bed);
      await next.daemon.reconcile();
      await next.reconcile();
      const before = step === 'disk copy' || step === 'disk copied';
      assert.equal(readDisk(bed, box.id), before ? 'now' : 'then');
      if (before) assert.equal((await next.daemon.boxes.get(box.id)).run_id, box.run_id, 'it runs as if nothing had been');
      else if (!['restore', 'restored', 'init'].includes(step)) assert.deepEqual(next.rolledBack, [box.id]);
      assert.deepEqual(next.rows.rollbacks(), []);
      assert.ok(!existsSync(rolledBackDisk(bed.dataDir, box.id)));
      await next.daemon.access.awake(box.id);
      assert.equal(bed.machines.size, 1);
      assert.equal(readDisk(bed, box.id), before ? 'now' : 'then');
      assert.deepEqual(
        (await next.checkpoints.list(box.id)).map(({ id }) => id),
        [made.id],
      );
    });

  test('in the middle of a rollback and of a checkpoint: both are put right also when the box is at work as soon as it is found', async () => {
    using bed = new Testbed();
    const first = checkpointDaemon(bed);
    const { box } = await first.daemon.boxes.create(ada);
    writeDisk(bed, box.id, 'then');
    const made = await first.checkpoints.create(box.id, { memory: false });
    writeDisk(bed, box.id, 'now');
    first.rows.begin({ id: 'ckp_half', boxId: box.id, name: null, kind: 'auto', taskId: null });
    const died = dieAt(bed, 'vm kill');
    void first.checkpoints.restore(box.id, made.id);
    await died;
    bed.atStep = () => {};
    const next = checkpointDaemon(bed);
    await next.daemon.reconcile();
    const free = Promise.withResolvers<void>();
    // As a task that goes on: it has the box's writer before anything else has.
    const work = next.parts.boxes.writers.run(box.id, () => free.promise);
    const reconciled = next.reconcile();
    free.resolve();
    await Promise.all([work, reconciled]);
    assert.equal(readDisk(bed, box.id), 'then');
    assert.deepEqual([next.rows.rollbacks(), next.rows.unsettled()], [[], []]);
  });

  test('between the new disk and its row: the rollback is complete', async () => {
    using bed = new Testbed();
    const first = checkpointDaemon(bed);
    const { box } = await first.daemon.boxes.create(ada);
    const made = await first.checkpoints.create(box.id, { memory: false });
    await first.checkpoints.restore(box.id, made.id);
    // As if the daemon had been killed right after the rename.
    first.rows.beginRollback(box.id, made.id);
    writeDisk(bed, box.id, 'restored');
    const next = checkpointDaemon(bed);
    await next.daemon.reconcile();
    await next.reconcile();
    assert.equal(readDisk(bed, box.id), 'restored');
    assert.deepEqual(next.rows.rollbacks(), []);
    assert.equal((await next.daemon.access.awake(box.id)).id, box.id);
  });
});
