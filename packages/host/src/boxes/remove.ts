import { rm } from 'node:fs/promises';
import { boxPaths } from './names.ts';
import type { Vmm } from '../vmm/vmm.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';

/** How long those who are told of a kill may take, in ms; then the box goes without them. */
const listenersMs = 5000;

/**
 * Ends a box: machine, way out, disk, rows. Each step is idempotent and the row goes last, so a crash in between is completed
 * by the reconciler.
 * @param why `kill`: somebody knew the box, so its tasks are told; `undo`: a creation that failed, whose idempotency key is free again
 */
export async function removeBox(parts: BoxParts, id: string, why: 'kill' | 'undo'): Promise<void> {
  const { rows, live, vmm, broker, admission, idempotency, modelKeys, logs, events, settings } = parts;
  const row = rows.get(id);
  if (row === undefined) return;
  const box = live.get(id);
  // From here on the end of the machine is expected, and nobody reaches into the box any more.
  if (box !== undefined) live.take(box);
  if (why === 'kill') await live.killed(id, listenersMs);
  if (box !== undefined) await box.vm.kill();
  else await endMachine(vmm, row);
  await broker.close(id);
  await rm(boxPaths(settings.dataDir, id).folder, { recursive: true, force: true });
  admission.release(id);
  rows.store.transaction(() => {
    if (why === 'undo') idempotency.forget('boxes', id);
    modelKeys.forget(id);
    logs.forget(id);
    rows.remove(id);
    events.forget(id, why === 'kill');
  });
}

/** The machine of a box that is not awake here: left by an earlier daemon, or already gone. */
async function endMachine(vmm: Vmm, { spec, record }: BoxRow): Promise<void> {
  if (spec === null || record === null) return;
  // Adopting also clears away what a machine that is gone has left; one that cannot be adopted is ended from outside.
  const vm = await vmm.adopt(spec, record).catch(() => undefined);
  await vm?.kill();
  await vmm.reap(record);
}
