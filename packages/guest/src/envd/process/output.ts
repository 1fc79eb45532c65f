import { ApiError } from '@citb/api';
import { Bell } from '../../tree/index.ts';

export type Channel = 'stdout' | 'stderr' | 'pty';

/** A part of what a process printed. */
export interface Piece {
  readonly channel: Channel;
  readonly bytes: Buffer;
}

/** Bounds of what is kept, in bytes of memory. */
export const outputLimits = {
  /** Kept of each process for those who connect later. */
  kept: 1024 * 1024,
  /** The process is held (its pipe fills) when a reader is this far behind, and let go at `low`. */
  high: 512 * 1024,
  low: 256 * 1024,
  /** Printed in small parts, it is gathered up to this. */
  gathered: 16 * 1024,
  /** A reader that is this far behind is dropped, whatever the reason: memory stays bounded. */
  most: 4 * 1024 * 1024,
} as const;

/** A reader that takes nothing for this long, in ms, while the process is held because of it, is dropped. */
export const readerPatienceMs = 30_000;

/** What an entry costs beside its bytes. */
const overhead = 128;

/** A stretch of output of one channel; the newest one can still grow. `before`: the cost of all that came earlier. */
interface Stretch {
  readonly channel: Channel;
  readonly before: number;
  data: Buffer;
  used: number;
}

/**
 * The output of one process: the last MiB, for any number of readers. It is the only buffer, so readers cost no
 * memory: nothing that a reader still has to read is thrown away; the process is held instead, as by a full pipe.
 * A reader that stops reading holds it for {@link readerPatienceMs} at most.
 */
export class Output {
  readonly #hold: (held: boolean) => void;
  readonly #readers = new Set<OutputReader>();
  readonly #bell = new Bell();
  #stretches: Stretch[] = [];
  /** Number of the first stretch that is kept, counted from the first ever. */
  #first = 0;
  /** Cost of everything ever appended. */
  #total = 0;
  #held = false;
  #ended = false;
  #patience: NodeJS.Timeout | undefined;

  /** @param hold called with true when the process shall not print for now, with false when it may again */
  constructor(hold: (held: boolean) => void) {
    this.#hold = hold;
  }

  append(channel: Channel, bytes: Buffer): void {
    if (this.#ended) return;
    const last = this.#stretches.at(-1);
    if (last?.channel === channel && last.used + bytes.length <= outputLimits.gathered) this.#grow(last, bytes);
    else this.#push(channel, bytes);
    this.#trim();
    this.#balance();
    this.#bell.ring();
  }

  /** No more will come. */
  end(): void {
    this.#ended = true;
    this.#bell.ring();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A reader of what is kept and what comes. Close it. */
  read(): OutputReader {
    const reader = new OutputReader(this, this.#first);
    this.#readers.add(reader);
    this.#balance();
    return reader;
  }

  /** For readers: a stretch by its number. */
  stretch(number: number): Stretch | undefined {
    return this.#stretches[number - this.#first];
  }

  /** For readers: their position has changed. */
  moved(): void {
    this.#trim();
    this.#balance();
  }

  left(reader: OutputReader): void {
    this.#readers.delete(reader);
    this.moved();
  }

  async wait(ms: number, signal: AbortSignal): Promise<void> {
    await this.#bell.wait(ms, signal);
  }

  #push(channel: Channel, bytes: Buffer): void {
    const small = bytes.length < outputLimits.gathered / 4;
    const data = small ? Buffer.alloc(Math.max(64, bytes.length * 2)) : bytes;
    if (small) bytes.copy(data);
    this.#stretches.push({ channel, before: this.#total, data, used: bytes.length });
    this.#total += data.length + overhead;
  }

  #grow(last: Stretch, bytes: Buffer): void {
    if (last.used + bytes.length > last.data.length) {
      const larger = Buffer.alloc(Math.min(outputLimits.gathered, (last.used + bytes.length) * 2));
      last.data.copy(larger, 0, 0, last.used);
      this.#total += larger.length - last.data.length;
      last.data = larger;
    }
    bytes.copy(last.data, last.used);
    last.used += bytes.length;
  }

  /** Throws away the oldest that is too much, up to what a reader still has to read. */
  #trim(): void {
    const needed = Math.min(...Array.from(this.#readers, (reader) => reader.position));
    let drop = 0;
    while (this.#first + drop < needed && this.#costFrom(drop) > outputLimits.kept && drop < this.#stretches.length - 1) drop += 1;
    if (drop === 0) return;
    this.#stretches = this.#stretches.slice(drop);
    this.#first += drop;
  }

  #balance(): void {
    for (const reader of this.#readers) if (this.#behind(reader) > outputLimits.most) reader.drop();
    const behind = Math.max(0, ...Array.from(this.#readers, (reader) => this.#behind(reader)));
    if (!this.#held && behind > outputLimits.high) this.#setHeld(true);
    else if (this.#held && behind <= outputLimits.low) this.#setHeld(false);
  }

  #setHeld(held: boolean): void {
    this.#held = held;
    clearInterval(this.#patience);
    if (held) this.#patience = setInterval(() => this.#dropIdle(), readerPatienceMs / 10).unref();
    this.#hold(held);
  }

  #dropIdle(): void {
    const now = performance.now();
    for (const reader of this.#readers) {
      if (this.#behind(reader) > outputLimits.low && now - reader.lastRead > readerPatienceMs) reader.drop();
    }
  }

  #behind(reader: OutputReader): number {
    return this.#costFrom(reader.position - this.#first);
  }

  #costFrom(index: number): number {
    const stretch = this.#stretches[index];
    return stretch === undefined ? 0 : this.#total - stretch.before;
  }
}

/** One reader of an output. */
export class OutputReader implements Disposable {
  readonly #output: Output;
  #position: number;
  #offset = 0;
  #dropped = false;
  lastRead = performance.now();

  constructor(output: Output, position: number) {
    this.#output = output;
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  /** True when all was read and no more will come. */
  get done(): boolean {
    return this.#output.ended && !this.#unread();
  }

  /** The next part, if there is one. @throws ApiError `queue_full` when this reader was too slow */
  take(): Piece | undefined {
    if (this.#dropped)
      throw new ApiError('queue_full', 'The output was not read for too long.', { hint: 'Connect again; the last MiB is kept.' });
    this.lastRead = performance.now();
    if (!this.#unread()) return undefined;
    const stretch = this.#output.stretch(this.#position);
    if (stretch === undefined) return undefined;
    const bytes = stretch.data.subarray(this.#offset, stretch.used);
    this.#offset = stretch.used;
    this.#unread();
    this.#output.moved();
    return { channel: stretch.channel, bytes };
  }

  /** Resolves when there may be more, after `ms`, or when the signal is aborted. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#unread() && !this.#output.ended && !this.#dropped) await this.#output.wait(ms, signal);
  }

  drop(): void {
    this.#dropped = true;
    this.#output.left(this);
  }

  [Symbol.dispose](): void {
    this.#output.left(this);
  }

  /** Moves on over what is read and will not grow; true when something is left. */
  #unread(): boolean {
    for (;;) {
      const stretch = this.#output.stretch(this.#position);
      if (stretch === undefined) return false;
      if (this.#offset < stretch.used) return true;
      if (this.#output.stretch(this.#position + 1) === undefined) return false;
      this.#position += 1;
      this.#offset = 0;
    }
  }
}
