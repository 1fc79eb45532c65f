import { closeSync, fstatSync, fsync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type NewTaskEvent, type TaskEvent, limits, taskEvent } from '@citb/api';
import { capEvent } from '../events/cap.ts';

/** Bounds of one task's journal. */
export interface JournalBounds {
  readonly events: number;
  readonly bytes: number;
}

/** A quarter of the state file system's 96 MiB or so: an answer of 64 000 tokens is about 8 MiB of deltas. */
export const journalBounds: JournalBounds = { events: limits.eventsPerTask, bytes: 24 * 1024 * 1024 };

/** Types that are kept even beyond the bounds: how a task ended. */
const endings: ReadonlySet<TaskEvent['type']> = new Set(['usage', 'error', 'completion', 'question']);
const chunkBytes = 256 * 1024;
/** Lines kept in memory when the disk took no more: the task ends at once, so few come. */
const unwrittenLines = 1000;
const fsyncAsync = promisify(fsync);

/**
 * The events of one task: a file of JSON lines that only grows. An event is in the file before anybody sees it, and the last
 * one is on the disk before anybody sees it. Writes are synchronous: a line goes to the page cache in microseconds, and
 * order needs no further care.
 */
export class Journal {
  readonly path: string;
  readonly #fd: number;
  readonly #bounds: JournalBounds;
  #seq = 0;
  /** Bytes of whole lines in the file. */
  #size = 0;
  /** Bytes that readers may see. */
  #visible = 0;
  #last: TaskEvent | undefined;
  #truncated = false;
  /** The completion is on the disk. */
  #finished = false;
  #closed = false;
  /** Lines that the disk did not take; readers that are there still get them. */
  readonly #unwritten: string[] = [];
  #failure: Error | undefined;
  #wake = Promise.withResolvers<void>();
  readonly #makeRoom: () => boolean;

  private constructor(path: string, flags: string, makeRoom: () => boolean, bounds: JournalBounds) {
    this.path = path;
    this.#fd = openSync(path, flags, 0o600);
    this.#makeRoom = makeRoom;
    this.#bounds = bounds;
  }

  /**
   * Begins a journal.
   * @param makeRoom called when the disk is full; true when it freed something
   * @throws what open(2) says, EEXIST too
   */
  static create(path: string, makeRoom: () => boolean, bounds: JournalBounds = journalBounds): Journal {
    return new Journal(path, 'wx+', makeRoom, bounds);
  }

  /** Opens a journal that is there. Half a line at its end, left by a crash, is cut off. */
  static open(path: string, makeRoom: () => boolean, bounds: JournalBounds = journalBounds): Journal {
    const journal = new Journal(path, 'r+', makeRoom, bounds);
    journal.#recover();
    return journal;
  }

  /** Number of the last event. */
  get lastSeq(): number {
    return this.#seq;
  }

  get bytes(): number {
    return this.#size;
  }

  get last(): TaskEvent | undefined {
    return this.#last;
  }

  /** True when the completion is in it and on the disk: nothing follows. */
  get ended(): boolean {
    return this.#finished;
  }

  /** Set once the disk did not take an event: the task must end, its events are only in memory. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Numbers an event and writes it. Beyond the bounds only the end is kept, after a status that says so. */
  append(event: NewTaskEvent): void {
    if (this.#last?.type === 'completion' || this.#closed) return;
    if (this.#seq >= this.#bounds.events || this.#size >= this.#bounds.bytes) {
      if (!this.#truncated) {
        this.#truncated = true;
        this.#write({
          type: 'status',
          content: { status: 'truncated', message: 'The task streamed more than is kept; from here only its end is.' },
        });
      }
      if (!endings.has(event.type)) return;
    }
    this.#write(event);
    if (this.#failure === undefined) this.#visible = this.#size;
    this.#notify();
  }

  /** Writes the last event: on the disk, then seen. */
  async end(event: NewTaskEvent): Promise<void> {
    if (this.#last?.type === 'completion' || this.#closed) return;
    this.#write(event);
    try {
      await fsyncAsync(this.#fd);
    } finally {
      if (this.#failure === undefined) this.#visible = this.#size;
      this.#finish();
      this.#notify();
    }
  }

  /** On the disk what was appended. @throws what fsync(2) says */
  async sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await fsyncAsync(this.#fd);
  }

  /**
   * The lines after a sequence number, then those that come, until the completion. While nothing happens an empty line
   * comes every `heartbeatMs`. Memory is bounded: what is not asked for stays in the file.
   */
  async *lines(after: number, heartbeatMs: number): AsyncGenerator<Buffer | string> {
    const file = await open(this.path, 'r');
    try {
      let position = 0;
      let rest: Buffer = Buffer.alloc(0);
      let given = 0;
      for (;;) {
        const wake = this.#wake.promise;
        if (position < this.#visible) {
          const { buffer, bytesRead } = await file.read(
            Buffer.allocUnsafe(Math.min(chunkBytes, this.#visible - position)),
            0,
            undefined,
            position,
          );
          if (bytesRead === 0) return;
          position += bytesRead;
          const data = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
          const end = data.lastIndexOf(10) + 1;
          rest = Buffer.from(data.subarray(end));
          const wanted = skipTo(data.subarray(0, end), after);
          if (wanted.length > 0) yield wanted;
        } else if (given < this.#unwritten.length) {
          yield this.#unwritten[given] ?? '';
          given += 1;
        } else if (this.ended || this.#closed) {
          return;
        } else if (await quiet(wake, heartbeatMs)) {
          yield '\n';
        }
      }
    } finally {
      await file.close();
    }
  }

  /** Ends all readers and gives the file back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#finished) closeSync(this.#fd);
    this.#notify();
  }

  /** Readers open the file by themselves. */
  #finish(): void {
    this.#finished = true;
    closeSync(this.#fd);
  }

  #write(event: NewTaskEvent): void {
    this.#seq += 1;
    const numbered = { seq: this.#seq, ts: new Date().toISOString(), ...capEvent(event) };
    this.#last = numbered;
    const line = `${JSON.stringify(numbered)}\n`;
    if (this.#failure === undefined) {
      this.#failure = this.#tryWrite(line);
      while (this.#failure !== undefined && this.#makeRoom()) this.#failure = this.#tryWrite(line);
    } else if (endings.has(event.type)) {
      // For those who read after a restart; who reads now gets all lines from memory.
      this.#tryWrite(line);
    }
    if (this.#failure !== undefined && this.#unwritten.length < unwrittenLines) this.#unwritten.push(line);
  }

  #tryWrite(line: string): Error | undefined {
    const data = Buffer.from(line);
    try {
      let done = 0;
      while (done < data.length) done += writeSync(this.#fd, data, done, data.length - done, this.#size + done);
      this.#size += data.length;
      return undefined;
    } catch (error) {
      try {
        ftruncateSync(this.#fd, this.#size);
      } catch {
        // Half a line stays; it is cut off when the journal is opened again.
      }
      return error as Error;
    }
  }

  #notify(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }

  #recover(): void {
    const size = fstatSync(this.#fd).size;
    const tail = Buffer.alloc(Math.min(size, limits.eventBytes * 2));
    const read = readSync(this.#fd, tail, 0, tail.length, size - tail.length);
    const whole = tail.subarray(0, tail.subarray(0, read).lastIndexOf(10) + 1);
    this.#size = size - tail.length + whole.length;
    if (this.#size < size) ftruncateSync(this.#fd, this.#size);
    this.#visible = this.#size;
    const line = whole.toString('utf8', whole.lastIndexOf(10, -2) + 1);
    this.#last = parseEvent(line);
    this.#seq = seqOf(line);
    if (this.#last?.type === 'completion') this.#finish();
  }
}

function parseEvent(line: string): TaskEvent | undefined {
  try {
    return taskEvent.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** Lines begin with `{"seq":n,`. */
function seqOf(line: string): number {
  return Number(/^\{"seq":(\d+)/.exec(line)?.[1] ?? 0);
}

/** The lines of a block whose number is above `after`; numbers only grow. */
function skipTo(lines: Buffer, after: number): Buffer {
  let start = 0;
  while (start < lines.length) {
    if (seqOf(lines.toString('latin1', start, start + 24)) > after) return lines.subarray(start);
    start = lines.indexOf(10, start) + 1;
  }
  return lines.subarray(lines.length);
}

/** True when nothing happened for so long. */
async function quiet(event: Promise<void>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(true), ms);
  void event.then(() => resolve(false));
  const result = await promise;
  clearTimeout(timer);
  return result;
}
