import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ApiError } from '@citb/api';
import { boxPaths } from './names.ts';
import { type Daemon, Testbed } from './testbed.ts';

const ada = { userId: 'ada', runtime: 'bash', envVars: {} };
const code = (expected: string) => ({ name: 'ApiError', code: expected });

const types = (daemon: Daemon, id: string): string[] => daemon.eventsOf(id).map(({ type }) => type);

suite('pausing and waking', () => {
  test('a paused box has no process and no memory, keeps its address, and comes back as it was', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    const { memory } = bed.machine(box.run_id ?? '');
    const live = await daemon.access.awake(box.id);
    assert.equal(daemon.access.wentToSleep(live), undefined);
    const paused = await daemon.boxes.pause(box.id);
    assert.deepEqual(
      { state: paused.state, pid: paused.pid, run: paused.run_id, address: paused.vm_ip },
      { state: 'paused', pid: null, run: null, address: box.vm_ip },
    );
    assert.equal(bed.machines.size, 0);
    assert.equal(daemon.committedMib(), 0);
    assert.equal(daemon.sockets.size, 0);
    assert.deepEqual(await daemon.boxes.pause(box.id), paused, 'again changes nothing');
    assert.equal(daemon.access.wentToSleep(live), 'paused');
    const resumed = await daemon.boxes.resume(box.id);
    assert.equal(resumed.state, 'running');
    assert.equal(resumed.vm_ip, box.vm_ip);
    assert.notEqual(resumed.run_id, box.run_id);
    assert.equal(bed.machine(resumed.run_id ?? '').memory, memory);
    assert.ok(!existsSync(join(boxPaths(bed.dataDir, box.id).folder, 'pause')), 'what was saved is used up');
    assert.deepEqual(await daemon.boxes.resume(box.id), resumed);
    assert.deepEqual(types(daemon, box.id), ['created', 'running', 'paused', 'running']);
  });

  test('a guest is told how many of its connections a pause has cut', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    assert.equal(bed.machine(box.run_id ?? '').init?.openConnections, undefined, 'nobody knows of a machine that boots');
    for (const connections of [2, 0]) {
      bed.connections = connections;
      await daemon.boxes.pause(box.id);
      const { run_id } = await daemon.boxes.resume(box.id);
      assert.equal(bed.machine(run_id ?? '').init?.openConnections, connections);
    }
  });

  test('requests at once wake a box once', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    await daemon.boxes.pause(box.id);
    bed.steps.length = 0;
    const woken = await Promise.all(Array.from({ length: 20 }, () => daemon.access.awake(box.id)));
    assert.equal(new Set(woken.map(({ runId }) => runId)).size, 1);
    assert.equal(bed.steps.filter((step) => step === 'restore').length, 1);
  });

  test('a request that comes while a box is paused waits, and wakes it', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    let woken: Promise<unknown> | undefined;
    bed.atStep = (step) => {
      if (step === 'vm snapshot') woken = daemon.access.awake(box.id);
    };
    await daemon.boxes.pause(box.id);
    await woken;
    assert.equal((await daemon.boxes.get(box.id)).state, 'running');
    assert.equal(bed.machines.size, 1);
  });

  test('memory that cannot be brought back: the box boots from its disk, and says so', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    for (const damage of ['memory', 'saved.json']) {
      await daemon.boxes.pause(box.id);
      writeFileSync(join(boxPaths(bed.dataDir, box.id).folder, 'pause', damage), 'noise');
      bed.steps.length = 0;
      assert.equal((await daemon.boxes.resume(box.id)).state, 'running');
      assert.ok(bed.steps.includes('boot'));
      assert.equal(bed.machines.size, 1);
      const events = daemon.eventsOf(box.id);
      assert.deepEqual(
        events.slice(-2).map(({ type, content }) => [type, content['how']]),
        [
          ['wake_failed', undefined],
          ['running', 'boot'],
        ],
      );
    }
  });

  test('a machine that ends before its CPUs run costs no memory: another one is made of what was saved', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    await daemon.boxes.pause(box.id);
    bed.steps.length = 0;
    bed.atStep = (step) => {
      if (step === 'restore' && bed.steps.filter((each) => each === step).length === 1) throw new Error('the machine ended');
    };
    assert.equal((await daemon.boxes.resume(box.id)).state, 'running');
    assert.ok(!bed.steps.includes('boot'));
    assert.equal(bed.machines.size, 1);
    assert.ok(!daemon.eventsOf(box.id).some(({ type }) => type === 'wake_failed'));
    assert.equal(daemon.eventsOf(box.id).at(-1)?.content['how'], 'restore');
  });

  test('an envd that dies in the middle of a wake costs no memory: it is back in a moment', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    const { memory } = bed.machine(box.run_id ?? '');
    await daemon.boxes.pause(box.id);
    bed.steps.length = 0;
    bed.atStep = (step) => {
      if (step === 'init' && !bed.steps.includes('envd')) throw new ApiError('box_unreachable');
    };
    const { run_id: run } = await daemon.boxes.resume(box.id);
    assert.equal(bed.machine(run ?? '').memory, memory);
    assert.deepEqual(types(daemon, box.id), ['created', 'running', 'paused', 'running']);
    await daemon.boxes.pause(box.id);
    bed.atStep = (step) => {
      if (step === 'init' && !bed.steps.includes('boot')) throw new ApiError('box_unreachable');
    };
    await daemon.boxes.resume(box.id);
    assert.ok(types(daemon, box.id).includes('wake_failed'), 'one that does not come back is not waited for for ever');
  });

  test('a wake for which the host has no room leaves the box paused', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon({ limits: { memoryMib: 256 + 128 } });
    const { box } = await daemon.boxes.create(ada);
    await daemon.boxes.pause(box.id);
    const other = await daemon.boxes.create({ ...ada, userId: 'bob' });
    await assert.rejects(daemon.boxes.resume(box.id), code('host_full'));
    assert.equal((await daemon.boxes.get(box.id)).state, 'paused');
    await daemon.boxes.kill(other.box.id);
    bed.steps.length = 0;
    await daemon.boxes.resume(box.id);
    assert.ok(bed.steps.includes('restored'));
  });

  test('a machine that cannot be saved goes on running', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    bed.atStep = (step) => {
      if (step === 'vm saved') throw new Error('no space left on device');
    };
    await assert.rejects(daemon.boxes.pause(box.id), code('pause_failed'));
    assert.deepEqual(await daemon.boxes.get(box.id), box);
    assert.equal(bed.machine(box.run_id ?? '').paused, false);
    assert.equal(daemon.access.ifRunning(box.id)?.runId, box.run_id);
    bed.atStep = () => {};
    assert.equal((await daemon.boxes.pause(box.id)).state, 'paused');
  });

  test('a machine that dies while it is paused is a box that boots from its disk', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    bed.atStep = (step) => {
      if (step === 'vm snapshot') bed.machine(box.run_id ?? '').crash();
    };
    await assert.rejects(daemon.boxes.pause(box.id), code('pause_failed'));
    assert.equal((await daemon.boxes.get(box.id)).state, 'stopped');
    assert.equal(daemon.committedMib(), 0);
    bed.atStep = () => {};
    await assert.rejects(daemon.boxes.pause(box.id), code('box_not_running'));
    assert.equal((await daemon.boxes.resume(box.id)).state, 'running');
  });

  test('a machine that dies right after a failed pause was taken back is noticed too', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    bed.atStep = (step) => {
      if (step === 'vm saved') throw new Error('no space left on device');
      // The CPUs run again, the box is not yet back in its list.
      if (step === 'broker') bed.machine(box.run_id ?? '').crash();
    };
    await assert.rejects(daemon.boxes.pause(box.id), code('pause_failed'));
    bed.atStep = () => {};
    const resumed = await daemon.boxes.resume(box.id);
    assert.notEqual(resumed.run_id, box.run_id, 'it has booted');
    assert.ok(types(daemon, box.id).includes('lost'));
  });

  test('a machine that dies while it is paused has died once', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    const dies = async (): Promise<void> => {
      const { run_id: run } = await daemon.boxes.resume(box.id);
      bed.atStep = async (step) => {
        if (step !== 'flush') return;
        bed.machine(run ?? '').crash();
        // Its end is noticed before the pause has come to it.
        await turn();
      };
      await assert.rejects(daemon.boxes.pause(box.id), code('pause_failed'));
      bed.atStep = () => {};
    };
    await dies();
    await dies();
    assert.equal((await daemon.boxes.get(box.id)).state, 'stopped', 'three times in a minute would be too often');
    assert.equal(types(daemon, box.id).filter((type) => type === 'lost').length, 2);
  });

  test('a stop shuts the guest down; a paused box is woken for it, so that nothing in its memory is lost', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    await daemon.boxes.pause(box.id);
    bed.steps.length = 0;
    const stopped = await daemon.boxes.stop(box.id);
    assert.equal(stopped.state, 'stopped');
    assert.ok(bed.steps.indexOf('restored') < bed.steps.indexOf('vm stop'));
    assert.equal(bed.machines.size, 0);
    assert.equal((await daemon.boxes.stop(box.id)).state, 'stopped');
    assert.equal((await daemon.boxes.resume(box.id)).state, 'running');
    assert.deepEqual(types(daemon, box.id).slice(-3), ['running', 'stopped', 'running']);
  });

  test('work that goes on by itself does not wake a box that was paused by its owner; a request does', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    const never = new AbortController().signal;
    await daemon.access.wanted(box.id, never);
    await daemon.boxes.pause(box.id);
    let wanted = false;
    const waiting = daemon.access.wanted(box.id, never).then(() => (wanted = true));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(wanted, false);
    await daemon.access.awake(box.id);
    await waiting;
  });

  test('a kill of a paused box leaves nothing; who reads its events is told', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    await daemon.boxes.pause(box.id);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of daemon.boxes.events(box.id, 0, new AbortController().signal))
        if (event !== undefined) seen.push(event.type);
    })();
    await new Promise((resolve) => setTimeout(resolve, 10));
    await daemon.boxes.kill(box.id);
    await reading;
    assert.deepEqual(seen, ['created', 'running', 'paused', 'killed']);
    assert.ok(!existsSync(boxPaths(bed.dataDir, box.id).folder));
  });
});
