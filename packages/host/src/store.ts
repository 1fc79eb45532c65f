import { DatabaseSync } from 'node:sqlite';

/**
 * The host's database: one SQLite file in WAL mode. Each part of the host owns its tables and creates them in its own
 * `migrations` (list of SQL, applied once each, in order, inside a transaction).
 */
export class Store {
  readonly db: DatabaseSync;

  /** @param path of the file, or `:memory:`. @throws when the file is not a sound database: nothing is changed then */
  constructor(path: string) {
    this.db = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5000 });
    // NORMAL in WAL mode survives kill -9 of the daemon; a power cut may lose the last moments, never the file.
    this.db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    const check = this.db.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (check.quick_check !== 'ok') throw new Error(`the database ${path} is damaged: ${check.quick_check}`);
    this.db.exec('CREATE TABLE IF NOT EXISTS migrations (part TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (part, number)) STRICT');
  }

  /** Brings the tables of one part up to date. */
  migrate(part: string, migrations: readonly string[]): void {
    const done = this.db.prepare('SELECT count(*) AS n FROM migrations WHERE part = ?').get(part) as { n: number };
    if (done.n > migrations.length) throw new Error(`the database is newer than this program (${part} ${done.n})`);
    for (const [index, sql] of migrations.entries()) {
      if (index < done.n) continue;
      this.transaction(() => {
        this.db.exec(sql);
        this.db.prepare('INSERT INTO migrations (part, number) VALUES (?, ?)').run(part, index);
      });
    }
  }

  /** All or nothing; not nested. */
  transaction<T>(work: () => T): T {
    this.db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.db.exec('COMMIT');
      return result;
    } catch (error) {
      this.db.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.db.close();
  }
}
