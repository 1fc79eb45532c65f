import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { identify } from '../vmm/process.ts';
import type { VmRecord } from '../vmm/vmm.ts';
import { watchForHang } from './hang.ts';

const never = new AbortController().signal;

/** A process that stands for a VMM. */
function machine(t: TestContext, program: string): { record: VmRecord; child: ChildProcess } {
  const child = spawn(process.execPath, ['-e', program], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const identity = identify(child.pid ?? 0);
  assert.ok(identity !== undefined);
  return { record: { driver: 'double', runId: 'run_1', folder: '/', ...identity }, child };
}

/** A process that the kernel lets wait for so long without a turn is not to be had by load: what it waits is told when its turn comes. */
const manyTurnsMs = 3000;

test('a machine that rests before it answers hangs', async (t) => {
  const { record } = machine(t, 'setTimeout(() => {}, 3600000)');
  assert.equal(await watchForHang(record, never, { restMs: 1000, cpuMs: 1e9 }), 'it has rested for 1 s');
});

test('a machine that uses the time of many boots hangs', async (t) => {
  const { record } = machine(t, 'for (;;);');
  assert.match((await watchForHang(record, never, { restMs: manyTurnsMs, cpuMs: 300 })) ?? '', /of CPU time/);
});

test('one that is up, or gone, does not', async (t) => {
  const { record, child } = machine(t, 'for (;;);');
  assert.equal(await watchForHang(record, AbortSignal.timeout(300), { restMs: manyTurnsMs, cpuMs: 1e9 }), undefined);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(await watchForHang(record, never, { restMs: 10, cpuMs: 1e9 }), undefined);
});
