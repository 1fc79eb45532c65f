import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** A row of a box, as it lies in the host's database. */
export interface FoundRow {
  readonly id: string;
  readonly state: string;
  readonly intent: string | null;
  readonly run_id: string | null;
  readonly pid: number | null;
}

/** The host's database, read by others than the host. */
export class Database implements Disposable {
  readonly #db: DatabaseSync;

  constructor(dataDir: string) {
    this.#db = new DatabaseSync(join(dataDir, 'host.db'), { readOnly: true, timeout: 5000 });
  }

  boxes(): FoundRow[] {
    return this.#db
      .prepare(`SELECT id, state, intent, run_id, json_extract(record, '$.pid') AS pid FROM boxes ORDER BY id`)
      .all() as unknown as FoundRow[];
  }

  /** The number of a box's last event; 0: it has none. */
  lastEvent(boxId: string): number {
    return Number(this.#db.prepare('SELECT coalesce(max(seq), 0) AS n FROM box_events WHERE box_id = ?').get(boxId)?.['n']);
  }

  /** True when an event after `seq` says that what was in memory is not there any more. */
  memoryLossTold(boxId: string, seq: number): boolean {
    const told = this.#db
      .prepare(
        `SELECT 1 FROM box_events WHERE box_id = ? AND seq > ? AND (type IN ('wake_failed', 'lost', 'stopped') OR (type = 'running' AND json_extract(content, '$.how') <> 'restore'))`,
      )
      .get(boxId, seq);
    return told !== undefined;
  }

  /** True when a wake has ever cost the box its memory. */
  wakeFailed(boxId: string): boolean {
    return this.#db.prepare(`SELECT 1 FROM box_events WHERE box_id = ? AND type = 'wake_failed'`).get(boxId) !== undefined;
  }

  /** Boxes that sleep though nobody said so: nothing went on in them, or another one needed their memory, and the daemon may have died meanwhile. */
  asleepByThemselves(): Set<string> {
    const rows = this.#db
      .prepare(
        `SELECT box_id AS id FROM box_events AS e WHERE type = 'paused' AND json_extract(content, '$.why') <> 'request' AND NOT EXISTS
         (SELECT 1 FROM box_events WHERE box_id = e.box_id AND seq > e.seq AND type IN ('running', 'stopped', 'lost', 'paused'))`,
      )
      .all();
    return new Set(rows.map((row) => String(row['id'])));
  }

  /** How often boxes that are still there have fallen asleep so far, by why. */
  sleeps(): Record<string, number> {
    const rows = this.#db
      .prepare(`SELECT json_extract(content, '$.why') AS why, count(*) AS n FROM box_events WHERE type = 'paused' GROUP BY why`)
      .all();
    return Object.fromEntries(rows.map((row) => [String(row['why']), Number(row['n'])]));
  }

  /** Ids of boxes that any table names, by table. */
  named(): Map<string, string[]> {
    const tables = this.#db
      .prepare(`SELECT m.name AS name FROM sqlite_schema m JOIN pragma_table_info(m.name) c ON c.name = 'box_id' WHERE m.type = 'table'`)
      .all() as unknown as { name: string }[];
    return new Map(
      tables.map(({ name }) => [
        name,
        this.#db
          .prepare(`SELECT DISTINCT box_id AS id FROM ${name}`)
          .all()
          .map((row) => String(row['id'])),
      ]),
    );
  }

  checkpoints(): { id: string; box_id: string; state: string }[] {
    return this.#db.prepare('SELECT id, box_id, state FROM checkpoints').all() as unknown as {
      id: string;
      box_id: string;
      state: string;
    }[];
  }

  rollbacks(): number {
    return Number(this.#db.prepare('SELECT count(*) AS n FROM rollbacks').get()?.['n']);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}

export function readDatabase<T>(dataDir: string, read: (database: Database) => T): T {
  using database = new Database(dataDir);
  return read(database);
}
