import type { BoxParts } from './parts.ts';

/** How long a guest may take to shut down, in ms: its services end within seconds; a guest that does not is ended by force. */
export const stopGraceMs = 30_000;

/** Why a box was put to sleep, as its event says. */
export type SleepReason = 'request' | 'idle' | 'memory' | 'timeout' | 'drain' | 'crash of the host daemon';

/** A box's machine has ended as it was meant to: what it held is given back, and the address stays the box's. */
export async function fallAsleep(parts: BoxParts, boxId: string, state: 'paused' | 'stopped', why: SleepReason): Promise<void> {
  const { rows, admission, logs, events, broker } = parts;
  rows.store.transaction(() => {
    rows.move(boxId, state, state === 'paused' ? 'pause' : 'stop');
    events.add(boxId, state, { why });
  });
  admission.release(boxId);
  logs.detach(boxId);
  logs.note(boxId, `${state} (${why})`);
  await broker.close(boxId);
}
