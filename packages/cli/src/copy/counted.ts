import { Transform } from 'node:stream';
import { Progress, bytes, duration } from '../render/index.ts';
import type { Cli } from '../cli.ts';

/** What a copy did. */
export interface Copied {
  readonly what: string;
  readonly bytes: number;
}

/** Passes bytes on, counts them, and shows on a terminal how far it is. */
export class Counted extends Transform implements Disposable {
  count = 0;
  readonly #progress: Progress;
  readonly #label: string;
  readonly #total: number | undefined;
  readonly #began = performance.now();

  /** @param total bytes, where they are known */
  constructor(cli: Cli, label: string, total?: number) {
    super();
    this.#progress = new Progress(cli.stderr);
    this.#label = label;
    this.#total = total;
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    this.count += chunk.byteLength;
    const seconds = (performance.now() - this.#began) / 1000;
    const rate = `${bytes(this.count / Math.max(seconds, 0.001))}/s`;
    const total = this.#total;
    const share = total === undefined || total === 0 ? '' : ` of ${bytes(total)} (${Math.floor((this.count / total) * 100)} %)`;
    const left = total === undefined ? '' : `, ${duration(((total - this.count) / Math.max(1, this.count)) * seconds * 1000)} left`;
    this.#progress.show(`${this.#label}: ${bytes(this.count)}${share}, ${rate}${left}`);
    done(null, chunk);
  }

  [Symbol.dispose](): void {
    this.#progress[Symbol.dispose]();
  }
}
