import { type BoxEvent, type boxEventTypes, limits } from '@citb/api';
import { NewsReader } from '../../news.ts';
import type { Store } from '../../store.ts';

/** Events kept of one box; the oldest go first. */
const kept = 1000;
/** Read at once, so that a slow reader holds no more than this. */
const pageSize = 100;

const migrations = [
  `CREATE TABLE box_events (
     box_id TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL, type TEXT NOT NULL, content TEXT NOT NULL,
     PRIMARY KEY (box_id, seq)
   ) STRICT, WITHOUT ROWID;`,
];

/** Types that are documented, and whatever other parts of the host add. */
export type BoxEventType = keyof typeof boxEventTypes | (string & {});

/** What happened to each box, numbered from 1, in the database; and who waits for what comes. */
export class BoxEvents {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #readers = new Map<string, Set<Reader>>();
  #closed = false;

  constructor(store: Store, now: () => number) {
    store.migrate('box-events', migrations);
    this.#store = store;
    this.#now = now;
  }

  /** Records an event of a box that exists and tells who reads. May be called inside a transaction. */
  add(boxId: string, type: BoxEventType, content: Readonly<Record<string, unknown>> = {}): void {
    const { db } = this.#store;
    db.prepare(
      `INSERT INTO box_events (box_id, seq, ts, type, content)
       VALUES (?1, (SELECT ifnull(max(seq), 0) + 1 FROM box_events WHERE box_id = ?1), ?2, ?3, ?4)`,
    ).run(boxId, this.#now(), type, JSON.stringify(content));
    db.prepare('DELETE FROM box_events WHERE box_id = ?1 AND seq <= (SELECT max(seq) FROM box_events WHERE box_id = ?1) - ?2').run(
      boxId,
      kept,
    );
    for (const reader of this.#readers.get(boxId) ?? []) reader.wake();
  }

  /**
   * Events with a number larger than `after`: those kept, then those that come, until the box is killed, the host stops or the signal.
   * `undefined` is a heartbeat.
   */
  async *read(boxId: string, after: number, signal: AbortSignal): AsyncGenerator<BoxEvent | undefined> {
    // Subscribed before the first look: what is added in between is news.
    using reader = this.#subscribe(boxId, signal);
    let last = after;
    while (!signal.aborted) {
      const page = this.#page(boxId, last);
      for (const event of page) {
        last = event.seq;
        yield event;
      }
      if (page.length > 0) continue;
      if (reader.farewell !== undefined) yield* reader.farewell.filter(({ seq }) => seq > last);
      if (reader.farewell !== undefined || this.#closed) return;
      if (!(await reader.news(limits.heartbeatMs))) yield undefined;
    }
  }

  /** The box is gone, and its events with it. @param killed who reads is told so; false: nobody knew the box */
  forget(boxId: string, killed: boolean): void {
    if (killed) this.add(boxId, 'killed');
    const last = killed ? this.#last(boxId) : [];
    this.#store.db.prepare('DELETE FROM box_events WHERE box_id = ?').run(boxId);
    for (const reader of this.#readers.get(boxId) ?? []) reader.end(last);
  }

  /** Ends all who read: the host stops. */
  close(): void {
    this.#closed = true;
    for (const readers of this.#readers.values()) for (const reader of readers) reader.wake();
  }

  #subscribe(boxId: string, signal: AbortSignal): Reader {
    const readers = this.#readers.get(boxId) ?? new Set();
    this.#readers.set(boxId, readers);
    const onAbort = (): void => reader.wake();
    const reader = new Reader(() => {
      signal.removeEventListener('abort', onAbort);
      readers.delete(reader);
      if (readers.size === 0 && this.#readers.get(boxId) === readers) this.#readers.delete(boxId);
    });
    signal.addEventListener('abort', onAbort);
    readers.add(reader);
    return reader;
  }

  #page(boxId: string, after: number): BoxEvent[] {
    return this.#many('SELECT * FROM box_events WHERE box_id = ? AND seq > ? ORDER BY seq LIMIT ?', boxId, after, pageSize);
  }

  #last(boxId: string): BoxEvent[] {
    return this.#many('SELECT * FROM box_events WHERE box_id = ? ORDER BY seq DESC LIMIT 2', boxId).toReversed();
  }

  #many(sql: string, ...values: (string | number)[]): BoxEvent[] {
    const rows = this.#store.db.prepare(sql).all(...values) as unknown as { seq: number; ts: number; type: string; content: string }[];
    return rows.map(({ seq, ts, type, content }) => ({
      seq,
      ts: new Date(ts).toISOString(),
      type,
      content: JSON.parse(content) as Record<string, unknown>,
    }));
  }
}

/** One reader. It holds no events but the last ones of a box that is gone. */
class Reader extends NewsReader {
  farewell: readonly BoxEvent[] | undefined;

  end(farewell: readonly BoxEvent[]): void {
    this.farewell = farewell;
    this.wake();
  }
}
