import { ApiError, type TimeoutAction } from '@citb/api';
import type { BoxParts } from './parts.ts';
import { pauseBox } from './pause.ts';
import type { BoxRow } from './rows.ts';
import { stopBox } from './stop.ts';

/** Tells of boxes whose time is soon over, each once. */
export function warnOfExpiry({ rows, events }: Pick<BoxParts, 'rows' | 'events'>): void {
  for (const row of rows.toWarn()) {
    if (row.expires !== null && row.intent !== 'kill')
      events.add(row.id, 'expiry_warning', { at: new Date(row.expires).toISOString(), action: row.onTimeout });
  }
}

/** Does what was set for the end of a box's time, other than a kill. A box that does not run has nothing to be done to it. */
export async function endTime(parts: BoxParts, row: BoxRow, action: Exclude<TimeoutAction, 'kill'>): Promise<void> {
  const { rows, writers } = parts;
  await writers.run(row.id, async (signal) => {
    // It may have been given more time meanwhile.
    const now = rows.get(row.id);
    if (now?.expires === null || now === undefined || now.expires > parts.now()) return;
    if (now.state === 'running') await (action === 'pause' ? pauseRunning(parts, row.id) : stopBox(parts, row.id, 'timeout', signal));
    rows.expire(row.id);
  });
}

async function pauseRunning(parts: BoxParts, id: string): Promise<void> {
  try {
    await pauseBox(parts, id, { why: 'timeout' });
  } catch (error) {
    // Its machine had ended: it costs nothing already.
    if (!(error instanceof ApiError) || error.code !== 'box_not_running') throw error;
  }
}
