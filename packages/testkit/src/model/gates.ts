/** Named gates at which answers wait. A gate that was opened stays open. */
export class Gates {
  readonly #open = new Set<string>();
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves when the gate is opened, or rejects when the waiting client goes away. */
  wait(name: string, signal: AbortSignal): Promise<void> {
    if (this.#open.has(name)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('client left')), { once: true });
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), resolve]);
    });
  }

  release(name: string): void {
    this.#open.add(name);
    for (const resolve of this.#waiting.get(name) ?? []) resolve();
    this.#waiting.delete(name);
  }

  /** How many answers wait at the gate. */
  waiting(name: string): number {
    return this.#waiting.get(name)?.length ?? 0;
  }
}
