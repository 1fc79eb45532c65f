import type { LiveBox } from './access.ts';
import { watchVm } from './lost.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';
import { forgetSaved, pauseFolder } from './saved-folder.ts';
import { loadSaved } from './saved-machine.ts';
import { fallAsleep, stopGraceMs } from './sleep.ts';
import { completeWake, wakeFailed } from './wake.ts';

/**
 * The machine of a box that an earlier daemon started, as it is: its processes never noticed. What that daemon was about to do with
 * it is completed or taken back first:
 * - a pause whose machine was saved is completed, any other is taken back, and the CPUs run again;
 * - a stop is completed;
 * - a wake whose CPUs run is completed.
 * @returns undefined when the box has no machine now: `stopped` or `paused`
 * @throws when the machine lives but cannot be reached: it is left alone then
 */
export async function adoptBox(parts: BoxParts, row: BoxRow): Promise<LiveBox | undefined> {
  const { rows, vmm, broker, admission, live, logs } = parts;
  const vm = row.spec === null || row.record === null ? undefined : await vmm.adopt(row.spec, row.record);
  if (row.intent === 'pause' && loadSaved(pauseFolder(parts, row.id), undefined)?.spec.runId === row.runId) {
    await vm?.kill();
    return await asleep(parts, row, 'paused');
  }
  if (vm === undefined || row.spec === null) {
    if (row.intent === 'stop') return await asleep(parts, row, 'stopped');
    await gone(parts, row);
    return undefined;
  }
  if (row.intent === 'stop') {
    await vm.stop(stopGraceMs);
    return await asleep(parts, row, 'stopped');
  }
  // A daemon that saved it, for a pause or for a checkpoint, may have left its CPUs stopped.
  await vm.resume();
  if (row.intent === 'pause') rows.takeBack(row.id);
  // Half of a pause, or used up by a wake that was complete but for this.
  if (row.state === 'running') await forgetSaved(parts, row.id);
  if (row.spec.brokerSocket !== undefined) await broker.open(row.id, row.spec.brokerSocket);
  admission.count(row.id, row.memoryMib);
  const { accessToken } = rows.secrets(row.id);
  const box: LiveBox = { id: row.id, runId: row.spec.runId, runtime: row.runtime, agent: row.agent, vm, accessToken };
  logs.attach(row.id, vm);
  logs.note(row.id, `found running by a new host daemon, process ${vm.record.pid}`);
  if (row.state === 'paused' && !(await completeWake(parts, box))) return undefined;
  live.add(box);
  void watchVm(parts, box);
  return box;
}

/** True for a box that has, or may have, a machine of an earlier daemon: one that runs, and one in the middle of its wake. */
export function mayHaveMachine({ state, intent, saved }: BoxRow): boolean {
  return state === 'running' || (state === 'paused' && intent === 'start' && !saved);
}

async function asleep(parts: BoxParts, row: BoxRow, state: 'paused' | 'stopped'): Promise<undefined> {
  await fallAsleep(parts, row.id, state, 'crash of the host daemon');
  return undefined;
}

/** The machine ended while nobody looked: the box has its disk. */
async function gone(parts: BoxParts, row: BoxRow): Promise<void> {
  if (row.state === 'paused') return await wakeFailed(parts, row.id, 'Its machine ended in the middle of its wake.');
  const { rows, events, logs } = parts;
  const reason = 'Its machine ended while the host daemon was away.';
  rows.store.transaction(() => {
    rows.move(row.id, 'stopped', 'adopt', reason);
    events.add(row.id, 'lost', { reason });
  });
  logs.note(row.id, 'the machine is gone; it boots from its disk on the next request');
  await forgetSaved(parts, row.id);
}
