import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Testbed } from './testbed.ts';

const ada = { userId: 'ada', runtime: 'bash', envVars: {} };
const code = (expected: string) => ({ name: 'ApiError', code: expected });

async function until(check: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!check()) {
    if (performance.now() > end) throw new Error(`waited too long for ${check.toString()}`);
    await turn();
  }
}

suite('creating boxes', () => {
  test('a created box runs, has its identity and a place of its own; the same user again gets the same box', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon();
    const first = await boxes.create(ada);
    assert.equal(first.created, true);
    assert.equal(first.box.state, 'running');
    assert.deepEqual(bed.steps, ['image', 'image', 'disk', 'disk made', 'broker', 'boot', 'booted', 'envd', 'init']);
    const { init } = bed.machine(first.box.run_id ?? '');
    assert.match(init?.identity?.machineId ?? '', /^[0-9a-f]{32}$/);
    assert.match(init?.accessToken ?? '', /^[0-9a-f]{64}$/);
    const again = await boxes.create(ada);
    assert.equal(again.created, false);
    assert.deepEqual(again.box, first.box);
    const other = await boxes.create({ ...ada, userId: 'bob' });
    assert.notEqual(other.box.vm_ip, first.box.vm_ip);
    await assert.rejects(boxes.create({ ...ada, runtime: 'claude-agent' }), code('runtime_conflict'));
    await assert.rejects(boxes.create({ runtime: 'cobol', envVars: {} }), code('unknown_runtime'));
    await assert.rejects(boxes.create({ runtime: 'bash', envVars: {}, id: first.box.id }), code('box_exists'));
  });

  test('two requests of one user at once make one box', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon();
    const both = await Promise.all([boxes.create(ada), boxes.create(ada)]);
    assert.equal(both[0].box.pid, both[1].box.pid);
    assert.equal(both.filter((answer) => answer.created).length, 1);
    assert.equal(bed.machines.size, 1);
  });

  test('an idempotency key names one box, also for requests at once and after its kill', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon();
    const request = { runtime: 'bash', envVars: {} };
    const [first, second] = await Promise.all([boxes.create(request, 'k'), boxes.create(request, 'k')]);
    assert.equal(first.box.id, second.box.id);
    const renewed = await boxes.create({ ...request, envVars: { ANTHROPIC_API_KEY: 'sk-renewed' } }, 'k');
    assert.equal(renewed.box.id, first.box.id, 'a renewed Anthropic key makes no other request');
    await assert.rejects(boxes.create({ ...request, cpus: 2 }, 'k'), code('idempotency_conflict'));
    await boxes.kill(first.box.id);
    await assert.rejects(boxes.create(request, 'k'), code('box_killed'));
  });

  test('a creation that fails leaves nothing behind, and its idempotency key is free again', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    bed.atStep = (name) => {
      if (name !== 'envd') return;
      const [machine] = bed.machines.values();
      if (machine !== undefined) machine.console = 'starting\n\u001B[31mKernel panic\u001B[0m - not syncing\n';
      throw new Error('envd does not answer.');
    };
    await assert.rejects(
      daemon.boxes.create(ada, 'k'),
      /envd does not answer\. Its console ends with: starting \| Kernel panic - not syncing/,
    );
    assert.equal(bed.steps.filter((step) => step === 'boot').length, 3, 'it was tried again');
    assert.equal(bed.machines.size, 0);
    assert.deepEqual(readdirSync(join(bed.dataDir, 'boxes')), []);
    assert.deepEqual([...daemon.sockets], []);
    await assert.rejects(daemon.boxes.byUser('ada'), code('box_not_found'));
    bed.atStep = () => {};
    assert.equal((await daemon.boxes.create(ada, 'k')).created, true);
  });

  test('the Anthropic key never reaches the guest, and lies sealed', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon({ hostKey: 'sk-host' });
    const { box } = await daemon.boxes.create({ ...ada, envVars: { ANTHROPIC_API_KEY: 'sk-of-ada', COLOUR: 'blue' } });
    assert.deepEqual(bed.machine(box.run_id ?? '').init?.envVars, { COLOUR: 'blue' });
    assert.equal(daemon.modelKeys.forBox(box.id), 'sk-of-ada');
    assert.equal(daemon.modelKeys.forBox('another'), 'sk-host');
    await daemon.boxes.create({ ...ada, envVars: { ANTHROPIC_API_KEY: 'sk-new' } });
    assert.equal(daemon.modelKeys.forBox(box.id), 'sk-new', 'a new key of the same user is taken over');
    await daemon.boxes.kill(box.id);
    assert.equal(daemon.modelKeys.forBox(box.id), 'sk-host');
  });

  test('a machine with an agent answers only when the agent does', async () => {
    using bed = new Testbed();
    await bed.daemon().boxes.create({ ...ada, runtime: 'claude-agent' });
    assert.equal(bed.steps.at(-1), 'agent');
  });

  test('a full host says so, and has room again after a kill', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon({ limits: { memoryMib: 2 * (256 + 128) } });
    const { box } = await boxes.create(ada);
    await boxes.create({ ...ada, userId: 'bob' });
    await assert.rejects(boxes.create({ ...ada, userId: 'eve' }), code('host_full'));
    await boxes.kill(box.id);
    await boxes.create({ ...ada, userId: 'eve' });
    using small = new Testbed();
    const one = small.daemon({ limits: { maxBoxes: 1 } }).boxes;
    await one.create(ada);
    await one.create(ada);
    await assert.rejects(one.create({ ...ada, userId: 'bob' }), code('host_full'));
    using full = new Testbed();
    await assert.rejects(full.daemon({ limits: { diskReserveMib: 2 ** 40 } }).boxes.create(ada), code('host_disk_full'));
  });

  test('many creations at once: each box has its own address', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon({ bootSlots: 20 });
    const all = await Promise.all(Array.from({ length: 20 }, (_, n) => boxes.create({ ...ada, userId: `user ${n}` })));
    assert.equal(new Set(all.map(({ box }) => box.vm_ip)).size, 20);
    assert.equal(bed.steps.filter((step) => step === 'boot').length, 20);
  });

  test('boots wait their turn, in the order they came', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon({ bootSlots: 1 });
    const gates: (() => void)[] = [];
    bed.atStep = (name) => (name === 'envd' ? new Promise<void>((resolve) => gates.push(resolve)) : undefined);
    const all = ['a', 'b', 'c'].map((userId) => boxes.create({ ...ada, userId }));
    for (let n = 1; n <= 3; n += 1) {
      await until(() => gates.length === n);
      assert.equal(bed.machines.size, n);
      gates[n - 1]?.();
    }
    const pids = (await Promise.all(all)).map((answer) => answer.box.pid ?? 0);
    assert.deepEqual(
      pids,
      pids.toSorted((one, other) => one - other),
    );
  });

  test('lists by label, user and state, in pages that hold while boxes come and go', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon();
    for (const [n, userId] of ['a', 'b', 'c', 'd', 'e'].entries()) {
      bed.now += 1;
      await boxes.create({ ...ada, userId, labels: { parity: n % 2 === 0 ? 'even' : 'odd', 'a.b/c': 'x' } });
    }
    const users = async (query: object): Promise<(string | null)[]> =>
      (await boxes.list({ limit: 100, labels: {}, ...query })).boxes.map((box) => box.user_id);
    assert.deepEqual(await users({ labels: { parity: 'even', 'a.b/c': 'x' } }), ['a', 'c', 'e']);
    assert.deepEqual(await users({ userId: 'b' }), ['b']);
    assert.deepEqual(await users({ state: 'stopped' }), []);
    const first = await boxes.list({ limit: 2, labels: {} });
    await boxes.kill(first.boxes[0]?.id ?? '');
    const second = await boxes.list({ limit: 3, labels: {}, cursor: first.next ?? '' });
    assert.deepEqual(
      second.boxes.map((box) => box.user_id),
      ['c', 'd', 'e'],
    );
    assert.equal(second.next, null);
    await assert.rejects(boxes.list({ limit: 3, labels: {}, cursor: 'nonsense' }), code('invalid_request'));
  });
});

suite('killing boxes', () => {
  test('nothing is left of a killed box; its listeners were told while its rows were there', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    const told: string[] = [];
    daemon.access.onKilled(async (id) => {
      told.push((await daemon.boxes.get(id)).id);
      assert.equal(daemon.access.ifRunning(id), undefined);
    });
    daemon.access.onLost(() => assert.fail('it was not lost'));
    await Promise.all([daemon.boxes.kill(box.id), daemon.boxes.kill(box.id)]);
    assert.deepEqual(told, [box.id]);
    assert.equal(bed.machines.size, 0);
    assert.equal(existsSync(join(bed.dataDir, 'boxes', box.id)), false);
    assert.deepEqual([...daemon.sockets], []);
    for (const call of [daemon.boxes.get(box.id), daemon.boxes.kill(box.id), daemon.access.awake(box.id)])
      await assert.rejects(call, code('box_not_found'));
    assert.notEqual((await daemon.boxes.create(ada)).box.id, box.id);
  });

  test('a kill during the creation ends it at once: the creator hears of it, nothing is left', async () => {
    using bed = new Testbed();
    const { boxes } = bed.daemon();
    let id = '';
    bed.atStep = async (name) => {
      if (name !== 'envd') return;
      id = (await boxes.byUser('ada')).id;
      void boxes.kill(id);
    };
    await assert.rejects(boxes.create(ada), code('box_killed'));
    await until(() => bed.machines.size === 0);
    bed.atStep = () => {};
    assert.equal((await boxes.create(ada)).created, true, 'the next creation waits for the kill and makes a new box');
  });

  test('a box dies when its time is over, also when the daemon was away then', async () => {
    using bed = new Testbed();
    const first = bed.daemon();
    await first.boxes.create({ ...ada, timeoutS: 60 });
    const { box: keeps } = await first.boxes.create({ ...ada, userId: 'bob' });
    bed.now += 61_000;
    const second = bed.daemon();
    await second.reconcile();
    await until(() => bed.machines.size === 1);
    assert.equal((await second.boxes.get(keeps.id)).state, 'running');
  });
});

suite('machines that end', () => {
  test('a lost machine: the box is stopped, with the reason, and awake again on the next request, started once for all who ask', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    const lost: string[] = [];
    daemon.access.onLost((one) => lost.push(one.runId));
    bed.machine(box.run_id ?? '').crash();
    await until(() => lost.length === 1);
    const stopped = await daemon.boxes.get(box.id);
    assert.equal(stopped.state, 'stopped');
    assert.match(stopped.reason ?? '', /SIGSEGV/);
    assert.equal(stopped.pid, null);
    const awake = await Promise.all([daemon.access.awake(box.id), daemon.access.awake(box.id), daemon.boxes.create(ada)]);
    assert.equal(awake[0], awake[1]);
    assert.equal(awake[2].box.vm_ip, box.vm_ip);
    assert.notEqual(awake[0].runId, box.run_id);
    assert.equal(bed.machines.size, 1);
  });

  test('a request right after the end of a machine does not get the dead one', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    bed.machine(box.run_id ?? '').crash();
    await turn();
    assert.notEqual((await daemon.access.awake(box.id)).runId, box.run_id);
  });

  test('a box that cannot start is failed, with the reason, after three tries; the next request tries again', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    bed.machine(box.run_id ?? '').crash();
    await until(() => daemon.rows.get(box.id)?.state === 'stopped');
    let tries = 0;
    bed.atStep = (name) => {
      if (name !== 'init') return;
      tries += 1;
      [...bed.machines.values()][0]?.crash();
      throw new Error('cut');
    };
    await assert.rejects(daemon.access.awake(box.id), code('box_failed'));
    assert.equal(tries, 2, 'the loss before counts');
    const failed = await daemon.boxes.get(box.id);
    assert.equal(failed.state, 'failed');
    assert.match(failed.reason ?? '', /The machine ended while it started \(SIGSEGV\)/);
    await assert.rejects(daemon.access.awake(box.id), code('box_failed'));
    assert.equal(tries, 5);
    bed.atStep = () => {};
    await daemon.access.awake(box.id);
    const running = await daemon.boxes.get(box.id);
    assert.deepEqual([running.state, running.reason], ['running', null]);
  });

  test('a start that the full host refuses changes nothing', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon({ limits: { memoryMib: 256 + 128 } });
    const { box } = await daemon.boxes.create(ada);
    bed.machine(box.run_id ?? '').crash();
    await until(() => daemon.rows.get(box.id)?.state === 'stopped');
    await daemon.boxes.create({ ...ada, userId: 'bob' });
    await assert.rejects(daemon.access.awake(box.id), code('host_full'));
    assert.equal((await daemon.boxes.get(box.id)).state, 'stopped');
  });

  test('the log of a box tells its story and is readable after a restart of the daemon', async () => {
    using bed = new Testbed();
    const { box } = await bed.daemon().boxes.create(ada);
    bed.machine(box.run_id ?? '').crash();
    await turn();
    const lines: string[] = [];
    const next = bed.daemon();
    for await (const line of next.boxes.logs(box.id, { tail: 100, follow: false, signal: new AbortController().signal }))
      lines.push(line.line);
    assert.match(lines.join('\n'), /booting, run run_.*\nrunning\nIts machine ended \(SIGSEGV\)/s);
    assert.throws(() => next.boxes.logs('box_x', { tail: 1, follow: false, signal: new AbortController().signal }), code('box_not_found'));
  });
});

suite('a daemon that stops', () => {
  test('takes back what it was making, refuses new work, and leaves running boxes alone', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create(ada);
    let closing = false;
    bed.atStep = async (name) => {
      if (name === 'envd') await until(() => closing);
    };
    const half = assert.rejects(daemon.boxes.create({ ...ada, userId: 'bob' }), code('host_stopping'));
    await until(() => bed.machines.size === 2);
    closing = true;
    await daemon.close();
    await half;
    await assert.rejects(daemon.boxes.create(ada), code('host_stopping'));
    await assert.rejects(daemon.access.awake(box.id), code('host_stopping'));
    assert.deepEqual([...bed.machines.keys()], [box.run_id]);
    assert.equal(bed.daemon().rows.count(), 1);
  });
});
