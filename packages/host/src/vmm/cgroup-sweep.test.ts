import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findCgroups } from './cgroup.ts';
import { CgroupSweep } from './cgroup-sweep.ts';

const cgroups = await findCgroups();

test('a group without processes goes at the second look, one with a process stays', { skip: cgroups.kind === 'none' }, async () => {
  const limits = { memoryBytes: 64 * 1024 * 1024, cpus: 1, processes: 10 };
  const [left, used] = [`run_left-${process.pid}`, `run_used-${process.pid}`];
  await cgroups.create(left, limits);
  const group = await cgroups.create(used, limits);
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  await group.add(child.pid ?? 0);
  // Only these two: groups of other daemons on this machine are none of this test's business.
  const sweep = new CgroupSweep(5, (name) => name === left || name === used);
  try {
    assert.deepEqual(await sweep.sweep(cgroups.kind), [], 'it may have been made just now');
    await sleep(20);
    assert.deepEqual(await sweep.sweep(cgroups.kind), [left]);
    assert.deepEqual(await sweep.sweep(cgroups.kind), []);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
    await cgroups.remove(used);
    await cgroups.remove(left);
  }
});
