/** Somebody who waits for news of something that he reads elsewhere. It holds none of it: it is only told that there is something to read. */
export class NewsReader implements Disposable {
  #news = false;
  #waiting: (() => void) | undefined;
  readonly #leave: () => void;

  /** @param leave takes the reader out of where it is told */
  constructor(leave: () => void) {
    this.#leave = leave;
  }

  wake(): void {
    this.#news = true;
    this.#waiting?.();
  }

  /** True when there was news since the last call, or as soon as there is; false after `ms` of quiet. */
  async news(ms: number): Promise<boolean> {
    if (!this.#news) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#waiting = undefined;
    }
    const news = this.#news;
    this.#news = false;
    return news;
  }

  [Symbol.dispose](): void {
    this.#leave();
  }
}
