import type { WriteStream } from 'node:tty';
import { cut } from './printable.ts';

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
