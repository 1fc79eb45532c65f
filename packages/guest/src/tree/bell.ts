/** Lets readers sleep until there is something new. */
export class Bell {
  readonly #sleepers = new Set<() => void>();

  /** Wakes everybody who waits. */
  ring(): void {
    for (const wake of this.#sleepers) wake();
  }

  /** Resolves at the next ring, after `ms`, or when the signal is aborted. Look again what is the case then. */
  wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleepers.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
      if (signal?.aborted === true) wake();
    });
  }
}
