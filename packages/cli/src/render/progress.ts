import type { WriteStream } from 'node:tty';
import { cut } from './printable.ts';
import { duration } from './units.ts';

/** Redraws at most this often, ms: a fast transfer must not wait for its terminal. */
const redrawMs = 100;

/** One line that is drawn over and over on a terminal; nothing where the stream is not one. */
export class Progress implements Disposable {
  readonly #out: WriteStream;
  #last = Number.NEGATIVE_INFINITY;
  #drawn = false;

  constructor(out: WriteStream) {
    this.#out = out;
  }

  show(text: string): void {
    const now = performance.now();
    if (!this.#out.isTTY || now - this.#last < redrawMs) return;
    this.#last = now;
    this.#drawn = true;
    this.#out.write(`\r\u001b[2K${cut(text, (this.#out.columns || 80) - 1)}`);
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    if (this.#drawn) this.#out.write('\r\u001b[2K');
    this.#drawn = false;
  }
}

/** Says on a terminal what is waited for and for how long, from the second second on. */
export class Waiting implements Disposable {
  readonly #progress: Progress;
  readonly #timer: NodeJS.Timeout;

  constructor(out: WriteStream, text: string) {
    this.#progress = new Progress(out);
    const began = performance.now();
    this.#timer = setInterval(
      () => this.#progress.show(`${text} (${duration(Math.round((performance.now() - began) / 1000) * 1000)})`),
      1000,
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#progress[Symbol.dispose]();
  }
}
