/** A box that fails this often within a minute is not started again by itself. */
export const failuresInARow = 3;

/** Failures of boxes within the last minute; in memory only, since a restart of the daemon is a good reason to try again. */
export class RecentFailures {
  readonly #windowMs = 60_000;
  readonly #times = new Map<string, number[]>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts one more. Returns how many there were within the last minute. */
  add(boxId: string): number {
    const now = this.#now();
    const recent = (this.#times.get(boxId) ?? []).filter((time) => time > now - this.#windowMs);
    recent.push(now);
    this.#times.set(boxId, recent);
    return recent.length;
  }

  /** The next request may try as often as a new one. */
  forget(boxId: string): void {
    this.#times.delete(boxId);
  }
}
