import { setTimeout as sleep } from 'node:timers/promises';

/** How patient the host is with a guest and its box, in ms. */
export interface Patience {
  /** First pause after a failure; it doubles up to `pauseMaxMs`. */
  readonly pauseMs: number;
  readonly pauseMaxMs: number;
  /** The agent's heartbeat comes each 5 s; a stream that is silent for so long is cut and opened again. */
  readonly stallMs: number;
  /** A box that runs but brings no event and no steady stream for so long is given up. Long enough for a restart under emulation. */
  readonly giveUpMs: number;
  /** How often a box that cannot be started is tried again. */
  readonly starts: number;
  /** So long a task waits for a host that has no room for its box. */
  readonly roomMs: number;
}

export const defaultPatience: Patience = { pauseMs: 100, pauseMaxMs: 2000, stallMs: 30_000, giveUpMs: 180_000, starts: 3, roomMs: 900_000 };

/** Waits after the n-th failure in a row; an abort ends it. */
export async function pause({ pauseMs, pauseMaxMs }: Patience, failures: number, signal: AbortSignal): Promise<void> {
  const ms = Math.min(pauseMs * 2 ** Math.max(0, failures - 1), pauseMaxMs);
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
