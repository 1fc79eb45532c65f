import type { LiveBox } from './access.ts';
import { watchVm } from './lost.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';

/**
 * The machine of a box that an earlier daemon started, as it is: its processes never noticed. When it is gone the box is
 * `stopped`, and undefined is returned.
 * @throws when it lives but cannot be reached: it is left alone then
 */
export async function adoptBox(parts: BoxParts, row: BoxRow): Promise<LiveBox | undefined> {
  const { rows, vmm, broker, admission, live, logs } = parts;
  const vm = row.spec === null || row.record === null ? undefined : await vmm.adopt(row.spec, row.record);
  if (vm === undefined || row.spec === null) {
    rows.move(row.id, 'stopped', 'adopt', 'Its machine ended while the host daemon was away.');
    logs.note(row.id, 'the machine is gone; it boots from its disk on the next request');
    return undefined;
  }
  if (row.spec.brokerSocket !== undefined) await broker.open(row.id, row.spec.brokerSocket);
  admission.count(row.id, row.memoryMib);
  const { accessToken } = rows.secrets(row.id);
  const box: LiveBox = { id: row.id, runId: row.spec.runId, runtime: row.runtime, agent: row.agent, vm, accessToken };
  logs.attach(row.id, vm);
  logs.note(row.id, `found running by a new host daemon, process ${vm.record.pid}`);
  live.add(box);
  void watchVm(parts, box);
  return box;
}
