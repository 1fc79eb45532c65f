import type { LogLine } from '@citb/api';

/** Bytes counted for a line beside its text. */
const lineOverhead = 64;
/** Lines kept at most; as many as a caller may ask for. */
const mostLines = 10_000;

/** The last lines of a log, bounded in bytes and number, and those who follow it. A slow reader misses lines, it holds nothing up. */
export class LineRing {
  readonly #maxBytes: number;
  #lines: LogLine[] = [];
  /** Number of the first line that is still there. */
  #first = 0;
  #bytes = 0;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(line: LogLine): void {
    this.#lines.push(line);
    this.#bytes += line.line.length + lineOverhead;
    if (this.#bytes > this.#maxBytes || this.#lines.length > mostLines) this.#dropOldest();
    this.#wake();
  }

  /** No line comes any more. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *read(options: { tail: number; follow: boolean; signal: AbortSignal }): AsyncGenerator<LogLine> {
    const { signal } = options;
    const end = this.#first + this.#lines.length;
    let next = Math.max(this.#first, end - options.tail);
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake);
    try {
      // Without `follow` a box that writes for ever must not make the answer endless.
      while (!signal.aborted && (options.follow || next < end)) {
        next = Math.max(next, this.#first);
        const line = this.#lines[next - this.#first];
        if (line !== undefined) {
          next += 1;
          yield line;
        } else if (options.follow && !this.#ended) {
          await new Promise<void>((resolve) => this.#waiting.push(resolve));
        } else {
          return;
        }
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  /** An eighth at once: taking one line after the other from the front of a long array would be slow. */
  #dropOldest(): void {
    let drop = 0;
    while (this.#bytes > (this.#maxBytes * 7) / 8 || this.#lines.length - drop > (mostLines * 7) / 8) {
      this.#bytes -= (this.#lines[drop]?.line.length ?? 0) + lineOverhead;
      drop += 1;
    }
    this.#lines = this.#lines.slice(drop);
    this.#first += drop;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
