/** The longest that a timer of Node can wait, in ms. */
const longestTimerMs = 2 ** 31 - 1;

/** One timer for the next warning or end of a box's time. Nothing is lost by a restart: the times are in the rows. */
export class Expiry {
  readonly #next: () => number | undefined;
  readonly #due: () => void;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param next when the next warning or end is due, ms since 1970
   * @param due is called then; it may leave boxes for the next call
   */
  constructor(next: () => number | undefined, due: () => void, now: () => number) {
    this.#next = next;
    this.#due = due;
    this.#now = now;
  }

  /** Sets the timer by what the rows say now. `atLeastMs` keeps a box whose end failed from being tried without a pause. */
  arm(atLeastMs = 0): void {
    this.stop();
    const next = this.#next();
    if (next === undefined) return;
    const wait = Math.min(Math.max(next - this.#now(), atLeastMs), longestTimerMs);
    this.#timer = setTimeout(() => {
      this.#due();
      this.arm(1000);
    }, wait);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
