import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';

/** Ends the machine of a half-done start: between boot and record it is known by its run only. */
export async function reapRun({ vmm, settings }: Pick<BoxParts, 'vmm' | 'settings'>, row: BoxRow): Promise<void> {
  for (const record of await vmm.list(settings.dataDir)) if (record.runId === row.runId) await vmm.reap(record);
}
