import type { LogLine } from '@citb/api';
import { limits } from '@citb/api';
import type { Store } from '../store.ts';
import type { Vm } from '../vmm/vmm.ts';
import { LineRing } from './line-ring.ts';
import { LineSplitter, printable } from './line-splitter.ts';

/** Lines of the host about one box that are kept in the database; the oldest go first. */
const notesKept = 500;

const migrations = [
  `CREATE TABLE box_notes (n INTEGER PRIMARY KEY AUTOINCREMENT, box_id TEXT NOT NULL, ts INTEGER NOT NULL, line TEXT NOT NULL) STRICT;
   CREATE INDEX box_notes_of ON box_notes (box_id, n);`,
];

/**
 * What can be read of each box: its console (in memory, bounded: a guest may write for ever) and what the host notes of it
 * (bounded too, and in the database, since the operator asks for it after a restart).
 */
export class BoxLogs {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #rings = new Map<string, LineRing>();
  readonly #consoles = new Map<string, () => void>();

  constructor(store: Store, now: () => number) {
    store.migrate('box-logs', migrations);
    this.#store = store;
    this.#now = now;
  }

  /** Adds a line of the host to the box's log. */
  note(boxId: string, line: string): void {
    const ring = this.#ring(boxId);
    const text = printable(line);
    const { db } = this.#store;
    db.prepare('INSERT INTO box_notes (box_id, ts, line) VALUES (?, ?, ?)').run(boxId, this.#now(), text);
    db.prepare(
      'DELETE FROM box_notes WHERE box_id = ? AND n <= (SELECT n FROM box_notes WHERE box_id = ? ORDER BY n DESC LIMIT 1 OFFSET ?)',
    ).run(boxId, boxId, notesKept);
    ring.push(this.#line('host', text));
  }

  /** Follows the console of a box's machine from now on, and takes what it has said so far. */
  attach(boxId: string, vm: Vm): void {
    this.detach(boxId);
    const ring = this.#ring(boxId);
    const splitter = new LineSplitter((text) => ring.push(this.#line('console', text)));
    splitter.push(vm.console());
    this.#consoles.set(
      boxId,
      vm.onConsole((text) => splitter.push(text)),
    );
  }

  detach(boxId: string): void {
    this.#consoles.get(boxId)?.();
    this.#consoles.delete(boxId);
  }

  /** The last `tail` lines; with `follow` also those that come, until the signal or the end of the box. */
  read(boxId: string, options: { tail: number; follow: boolean; signal: AbortSignal }): AsyncIterable<LogLine> {
    return this.#ring(boxId).read(options);
  }

  /** The box is gone, and its log with it. */
  forget(boxId: string): void {
    this.detach(boxId);
    this.#rings.get(boxId)?.end();
    this.#rings.delete(boxId);
    this.#store.db.prepare('DELETE FROM box_notes WHERE box_id = ?').run(boxId);
  }

  /** Ends all who follow. */
  close(): void {
    for (const boxId of this.#consoles.keys()) this.detach(boxId);
    for (const ring of this.#rings.values()) ring.end();
  }

  #ring(boxId: string): LineRing {
    let ring = this.#rings.get(boxId);
    if (ring === undefined) {
      ring = new LineRing(limits.consoleBytes);
      this.#rings.set(boxId, ring);
      for (const row of this.#store.db.prepare('SELECT ts, line FROM box_notes WHERE box_id = ? ORDER BY n').all(boxId))
        ring.push({ ts: new Date(Number(row['ts'])).toISOString(), source: 'host', line: String(row['line']) });
    }
    return ring;
  }

  #line(source: LogLine['source'], line: string): LogLine {
    return { ts: new Date(this.#now()).toISOString(), source, line };
  }
}
