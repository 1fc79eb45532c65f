import { ApiError } from '@citb/api';
import type { BoxParts } from './parts.ts';
import { fallAsleep, type SleepReason, stopGraceMs } from './sleep.ts';
import { startBox } from './start.ts';

/**
 * The writer's `stop`: the guest shut down, only its disk is kept. A paused box is woken for it, since its memory holds what its
 * programs have not yet written.
 * @throws box_not_found, and what waking a paused box does
 */
export async function stopBox(parts: BoxParts, id: string, why: SleepReason, signal: AbortSignal): Promise<void> {
  const { rows, live } = parts;
  const row = rows.get(id);
  if (row === undefined) throw new ApiError('box_not_found');
  if (row.state === 'stopped' || row.state === 'failed') return rows.setAsleep(id, true);
  const box = live.get(id) ?? (await startBox(parts, id, signal));
  rows.intend(id, 'stop');
  rows.setAsleep(id, true);
  live.take(box);
  live.fallsAsleep(box, 'stopped');
  await box.vm.stop(stopGraceMs);
  await fallAsleep(parts, id, 'stopped', why);
}
