/** Who waits for a turn in which box: tasks are handed over one at a time, so that what is done before each finds the one before it over. */
export class Turns {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Resolves when `hasCome` says so, or the signal aborts. It is asked at once, and whenever a task of the box is over. */
  async wait(boxId: string, hasCome: () => boolean, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !hasCome()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiting = this.#waiting.get(boxId) ?? new Set();
      this.#waiting.set(boxId, waiting.add(resolve));
      const onAbort = (): void => resolve();
      signal.addEventListener('abort', onAbort);
      await promise;
      signal.removeEventListener('abort', onAbort);
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(boxId) === waiting) this.#waiting.delete(boxId);
    }
  }

  /** A task of the box is over, or was never begun. */
  moveOn(boxId: string): void {
    for (const wake of this.#waiting.get(boxId) ?? []) wake();
  }
}
