import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { boxesFolder, boxPaths } from '../boxes/names.ts';
import { restedMs } from '../boxes/idle.ts';
import { Testbed } from '../boxes/testbed.ts';
import { checkpointDaemon, dieAt, readDisk, writeDisk } from './testbed.ts';

const ada = { userId: 'ada', runtime: 'bash', envVars: { ANTHROPIC_API_KEY: 'sk-of-ada', COLOUR: 'blue' }, labels: { team: 'data' } };
const code = (expected: string) => ({ name: 'ApiError', code: expected });

suite('forks', () => {
  test('a fork has disk and memory of the source, a token, an address and a row of its own, and its key', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    const machine = bed.machine(box.run_id ?? '');
    writeDisk(bed, box.id, 'shared');
    machine.memory = 'a thought';
    const fork = await checkpoints.fork(box.id, { userId: 'bob' });
    assert.ok(!machine.paused);
    assert.notEqual(fork.id, box.id);
    assert.deepEqual([fork.state, fork.user_id, fork.runtime, fork.labels], ['running', 'bob', 'bash', { team: 'data' }]);
    assert.notEqual(fork.vm_ip, box.vm_ip);
    assert.equal(readDisk(bed, fork.id), 'shared');
    assert.equal(bed.machine(fork.run_id ?? '').memory, 'a thought');
    const init = bed.machine(fork.run_id ?? '').init as { accessToken: string; envVars: object; identity: { boxId: string } };
    assert.equal(init.identity.boxId, fork.id);
    assert.deepEqual(init.envVars, { COLOUR: 'blue' });
    assert.notEqual(init.accessToken, daemon.rows.secrets(box.id).accessToken);
    assert.equal(init.accessToken, daemon.rows.secrets(fork.id).accessToken);
    assert.equal(daemon.modelKeys.forBox(fork.id), 'sk-of-ada');
    assert.ok(!existsSync(join(boxPaths(bed.dataDir, fork.id).folder, 'fork')), 'what it came from is used up');
    assert.deepEqual(
      daemon.eventsOf(fork.id).map(({ type, content }) => [type, content['how']]),
      [
        ['created', undefined],
        ['running', 'fork'],
      ],
    );
    writeDisk(bed, fork.id, 'its own');
    assert.equal(readDisk(bed, box.id), 'shared');
    await daemon.boxes.kill(box.id);
    assert.equal((await daemon.boxes.get(fork.id)).state, 'running');
  });

  test('its time is as long as the source’s, counts from its own beginning, and is watched at once', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create({ ...ada, timeoutS: 3600, onTimeout: 'pause' });
    const fresh = await checkpoints.create(box.id, { memory: true });
    // The source's time is over, and its timer is not due for an hour.
    bed.now += 3_600_000;
    const fork = await checkpoints.fork(box.id, { checkpoint: fresh.id });
    assert.deepEqual([fork.expires, fork.on_timeout], [new Date(bed.now + 3_600_000).toISOString(), 'pause']);
    for (const end = performance.now() + 20_000; (await daemon.boxes.get(box.id)).state !== 'paused';) {
      assert.ok(performance.now() < end, 'what is due is seen when a fork begins');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal((await daemon.boxes.get(fork.id)).state, 'running');
    await daemon.close();
  });

  test('its own environment and key, if they are given', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    const fork = await checkpoints.fork(box.id, { id: 'mine', labels: {}, envVars: { ANTHROPIC_API_KEY: 'sk-new', X: '1' } });
    assert.deepEqual([fork.id, fork.user_id, fork.labels], ['mine', null, {}]);
    assert.equal(daemon.modelKeys.forBox('mine'), 'sk-new');
    assert.deepEqual(daemon.rows.secrets('mine').envVars, { X: '1' });
    assert.equal(daemon.modelKeys.forBox(box.id), 'sk-of-ada');
  });

  test('of a checkpoint, of a paused and of a stopped box, which are not woken', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    writeDisk(bed, box.id, 'then');
    bed.machine(box.run_id ?? '').memory = 'then';
    const { id } = await checkpoints.create(box.id, { memory: true });
    writeDisk(bed, box.id, 'now');
    bed.machine(box.run_id ?? '').memory = 'now';
    await daemon.boxes.pause(box.id);
    const old = await checkpoints.fork(box.id, { checkpoint: id });
    assert.deepEqual([readDisk(bed, old.id), bed.machine(old.run_id ?? '').memory], ['then', 'then']);
    const fresh = await checkpoints.fork(box.id, {});
    assert.deepEqual([readDisk(bed, fresh.id), bed.machine(fresh.run_id ?? '').memory], ['now', 'now']);
    assert.equal((await daemon.boxes.get(box.id)).state, 'paused');
    await daemon.boxes.stop(box.id);
    bed.steps.length = 0;
    const cold = await checkpoints.fork(box.id, {});
    assert.ok(bed.steps.includes('boot'));
    assert.equal(readDisk(bed, cold.id), 'now');
    assert.equal((await daemon.boxes.get(box.id)).state, 'stopped');
    await assert.rejects(checkpoints.fork(box.id, { checkpoint: 'ckp_000000000000' }), code('checkpoint_not_found'));
  });

  test('the same key and request is the same fork; what is taken or does not fit is refused', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    const fork = await checkpoints.fork(box.id, { userId: 'bob' }, 'key');
    assert.equal((await checkpoints.fork(box.id, { userId: 'bob' }, 'key')).id, fork.id);
    const [one, other] = await Promise.all([1, 2].map(() => checkpoints.fork(box.id, {}, 'at once')));
    assert.equal(one?.id, other?.id);
    await daemon.boxes.kill(one?.id ?? '');
    await assert.rejects(checkpoints.fork(box.id, { userId: 'eve' }, 'key'), code('idempotency_conflict'));
    await assert.rejects(checkpoints.fork(box.id, { userId: 'bob' }), code('box_exists'));
    await assert.rejects(checkpoints.fork(box.id, { id: box.id }), code('box_exists'));
    await assert.rejects(checkpoints.fork('nobody', {}), code('box_not_found'));
    await daemon.close();
    const full = checkpointDaemon(bed, {}, { memoryMib: 900 });
    await full.daemon.reconcile();
    await assert.rejects(full.checkpoints.fork(box.id, {}), code('host_full'));
    assert.equal(bed.machines.size, 2);
  });

  test('where memory is short another box sleeps for it, not the source', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed, {}, { memoryMib: 800 });
    const { box } = await daemon.boxes.create({ ...ada, idleS: 600 });
    const other = await daemon.boxes.create({ userId: 'bob', runtime: 'bash', envVars: {}, idleS: 600 });
    await assert.rejects(checkpoints.fork(box.id, {}), code('host_full'));
    bed.now += restedMs;
    const fork = await checkpoints.fork(box.id, {});
    const states = await Promise.all([box, other.box, fork].map(async ({ id }) => (await daemon.boxes.get(id)).state));
    assert.deepEqual(states, ['running', 'paused', 'running']);
  });

  test('one that fails leaves nothing, and the source goes on', async () => {
    using bed = new Testbed();
    const { daemon, checkpoints } = checkpointDaemon(bed);
    const { box } = await daemon.boxes.create(ada);
    for (const broken of ['vm snapshot', 'disk copied', 'boot']) {
      bed.atStep = (step) => {
        if (step === broken || (broken === 'boot' && step === 'restore')) throw new Error('broken');
      };
      await assert.rejects(checkpoints.fork(box.id, { userId: 'bob' }, 'key'), { name: 'ApiError' });
      bed.atStep = () => {};
      assert.equal(daemon.rows.count(), 1, broken);
      assert.equal(readdirSync(boxesFolder(bed.dataDir)).length, 1);
      assert.equal(bed.machines.size, 1);
      assert.ok(!bed.machine(box.run_id ?? '').paused);
    }
    assert.equal((await checkpoints.fork(box.id, { userId: 'bob' }, 'key')).state, 'running', 'the key is free again');
  });

  for (const step of ['vm pause', 'vm saved', 'disk copied', 'vm resume', 'restore', 'restored', 'init'])
    test(`a daemon that is killed with -9 at "${step}" takes the fork back`, async () => {
      using bed = new Testbed();
      const first = checkpointDaemon(bed);
      const { box } = await first.daemon.boxes.create(ada);
      const died = dieAt(bed, step);
      void first.checkpoints.fork(box.id, { userId: 'bob' }, 'key');
      await died;
      bed.atStep = () => {};
      const next = checkpointDaemon(bed);
      await next.daemon.reconcile();
      await next.reconcile();
      assert.equal(next.daemon.rows.count(), 1);
      assert.equal(readdirSync(boxesFolder(bed.dataDir)).length, 1);
      assert.equal(bed.machines.size, 1);
      assert.ok(!bed.machine(box.run_id ?? '').paused, 'the source runs');
      assert.equal((await next.checkpoints.fork(box.id, { userId: 'bob' }, 'key')).user_id, 'bob');
    });
});
