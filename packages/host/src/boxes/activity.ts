/**
 * What goes on in each box, as far as the host knows: tasks that have not ended (also one that is silent, and one that waits for an
 * answer to a question), commands in the foreground, terminals with a client, uploads, downloads and watches. Requests that only look
 * (lists of files and processes, states) are not entered.
 */
export class Activity {
  readonly #boxes = new Map<string, { open: number; last: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Something begins in the box; it has ended when the returned object is disposed of. */
  enter(boxId: string): Disposable {
    const box = this.#boxes.get(boxId) ?? { open: 0, last: 0 };
    this.#boxes.set(boxId, box);
    box.open += 1;
    box.last = this.#now();
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        box.open -= 1;
        box.last = this.#now();
      },
    };
  }

  /** True while something goes on. */
  busy(boxId: string): boolean {
    return (this.#boxes.get(boxId)?.open ?? 0) > 0;
  }

  /** When something last began or ended, ms since 1970; 0: never. */
  last(boxId: string): number {
    return this.#boxes.get(boxId)?.last ?? 0;
  }

  /** Forgets boxes that are not used: those that are gone, and ids that never were a box. */
  forgetAllBut(boxIds: ReadonlySet<string>): void {
    for (const [id, { open }] of this.#boxes) if (open === 0 && !boxIds.has(id)) this.#boxes.delete(id);
  }
}
