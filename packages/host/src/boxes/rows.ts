import type { Box, BoxState } from '@citb/api';
import type { Seal } from '../keys/sealed.ts';
import type { Store } from '../store.ts';
import type { VmRecord, VmSpec } from '../vmm/vmm.ts';
import { type Mover, mayMove } from './states.ts';

const migrations = [
  `CREATE TABLE boxes (
     id TEXT PRIMARY KEY,
     user_id TEXT UNIQUE,
     runtime TEXT NOT NULL,
     agent INTEGER NOT NULL,
     image_key TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('creating', 'running', 'paused', 'stopped', 'failed')),
     reason TEXT,
     labels TEXT NOT NULL,
     disk_mib INTEGER NOT NULL,
     memory_mib INTEGER NOT NULL,
     cpus INTEGER NOT NULL,
     address TEXT UNIQUE,
     run_id TEXT UNIQUE,
     spec TEXT,
     record TEXT,
     access_token BLOB NOT NULL,
     env BLOB NOT NULL,
     created INTEGER NOT NULL,
     expires INTEGER,
     intent TEXT CHECK (intent IN ('start', 'kill')),
     intent_since INTEGER
   ) STRICT;
   CREATE INDEX boxes_by_age ON boxes (created, id);`,
];

/** What the database knows of a box. Times are ms since 1970. */
export interface BoxRow {
  readonly id: string;
  readonly userId: string | null;
  readonly runtime: string;
  readonly agent: boolean;
  readonly imageKey: string;
  readonly state: BoxState;
  readonly reason: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly diskMib: number;
  readonly memoryMib: number;
  readonly cpus: number;
  readonly address: string | null;
  readonly runId: string | null;
  /** How the present machine was started; the record names its process (null until the VMM runs). */
  readonly spec: VmSpec | null;
  readonly record: VmRecord | null;
  readonly created: number;
  readonly expires: number | null;
  /** Written before the action, cleared when it is done: what the reconciler goes on with after a crash. */
  readonly intent: Intent | null;
}

export type Intent = 'start' | 'kill';

/** The box as it begins. */
export type NewRow = Omit<BoxRow, 'state' | 'reason' | 'address' | 'runId' | 'spec' | 'record' | 'intent'> & {
  readonly secrets: BoxSecrets;
};

/** Lie sealed in the row. */
export interface BoxSecrets {
  readonly accessToken: string;
  readonly envVars: Readonly<Record<string, string>>;
}

/** The table of boxes. Written by a box's writer only, but for `insert` and `intend`, which hand the writer its work. */
export class BoxRows {
  readonly store: Store;
  readonly #seal: Seal;
  readonly #now: () => number;

  constructor(store: Store, seal: Seal, now: () => number) {
    store.migrate('boxes', migrations);
    this.store = store;
    this.#seal = seal;
    this.#now = now;
  }

  /** A box that is about to be created, with the intent to start it. */
  insert(row: NewRow): void {
    this.store.db
      .prepare(
        `INSERT INTO boxes (id, user_id, runtime, agent, image_key, state, labels, disk_mib, memory_mib, cpus, access_token, env, created, expires, intent, intent_since)
         VALUES (?, ?, ?, ?, ?, 'creating', ?, ?, ?, ?, ?, ?, ?, ?, 'start', ?)`,
      )
      .run(
        row.id,
        row.userId,
        row.runtime,
        Number(row.agent),
        row.imageKey,
        JSON.stringify(row.labels),
        row.diskMib,
        row.memoryMib,
        row.cpus,
        this.#seal.seal(row.secrets.accessToken, `${row.id}/access-token`),
        this.#seal.seal(JSON.stringify(row.secrets.envVars), `${row.id}/env`),
        row.created,
        row.expires,
        this.#now(),
      );
  }

  get(id: string): BoxRow | undefined {
    return this.#one('id = ?', id);
  }

  byUser(userId: string): BoxRow | undefined {
    return this.#one('user_id = ?', userId);
  }

  byRun(runId: string): BoxRow | undefined {
    return this.#one('run_id = ?', runId);
  }

  all(): BoxRow[] {
    return this.#many('SELECT * FROM boxes ORDER BY created, id');
  }

  count(): number {
    return (this.store.db.prepare('SELECT count(*) AS n FROM boxes').get() as { n: number }).n;
  }

  /** Rows after a place in the order of creation, at most `limit`. */
  page(query: PageQuery): BoxRow[] {
    const wheres = ['(created, id) > (?, ?)'];
    const values: (string | number)[] = [query.after.created, query.after.id];
    if (query.userId !== undefined) {
      wheres.push('user_id = ?');
      values.push(query.userId);
    }
    if (query.state !== undefined) {
      wheres.push('state = ?');
      values.push(query.state);
    }
    for (const [name, value] of Object.entries(query.labels)) {
      // Compared as data: a label's name may hold anything that a JSON path could be misread in.
      wheres.push('EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)');
      values.push(name, value);
    }
    return this.#many(`SELECT * FROM boxes WHERE ${wheres.join(' AND ')} ORDER BY created, id LIMIT ?`, ...values, query.limit);
  }

  secrets(id: string): BoxSecrets {
    const row = this.store.db.prepare('SELECT access_token, env FROM boxes WHERE id = ?').get(id) as {
      access_token: Uint8Array;
      env: Uint8Array;
    };
    return {
      accessToken: this.#seal.open(row.access_token, `${id}/access-token`),
      envVars: JSON.parse(this.#seal.open(row.env, `${id}/env`)) as Record<string, string>,
    };
  }

  /** Addresses that boxes have, but for one box. */
  addresses(exceptId: string): Set<string> {
    const rows = this.store.db.prepare('SELECT address FROM boxes WHERE address IS NOT NULL AND id <> ?').all(exceptId);
    return new Set(rows.map((row) => String(row['address'])));
  }

  /** What is about to be done. */
  intend(id: string, intent: Intent): void {
    this.store.db.prepare('UPDATE boxes SET intent = ?, intent_since = ? WHERE id = ?').run(intent, this.#now(), id);
  }

  /** A new incarnation is about to be booted: from here on a process of this run belongs to the box. */
  beginRun(id: string, spec: VmSpec, imageKey: string): void {
    this.store.db
      .prepare('UPDATE boxes SET run_id = ?, spec = ?, record = NULL, address = ?, image_key = ? WHERE id = ?')
      .run(spec.runId, JSON.stringify(spec), spec.network.address, imageKey, id);
  }

  /** The process of the incarnation. */
  recordRun(id: string, record: VmRecord): void {
    this.store.db.prepare('UPDATE boxes SET record = ? WHERE id = ? AND run_id = ?').run(JSON.stringify(record), id, record.runId);
  }

  /** Moves the box; its intent to start is done with. @throws when the machine of states has no such move: a bug */
  move(id: string, to: BoxState, by: Mover, reason: string | null = null): void {
    const row = this.get(id);
    if (row === undefined || !mayMove(row.state, to, by)) throw new Error(`the box ${id} cannot go from ${row?.state} to ${to} by ${by}`);
    const gone = to === 'stopped' || to === 'failed';
    this.store.db
      .prepare(`UPDATE boxes SET state = ?, reason = ?, record = iif(?, NULL, record), intent = nullif(intent, 'start') WHERE id = ?`)
      .run(to, reason, Number(gone), id);
  }

  /** A start that was given up without a move: the box is as it was. */
  forgetIntent(id: string): void {
    this.store.db.prepare(`UPDATE boxes SET intent = NULL, record = NULL WHERE id = ? AND intent = 'start'`).run(id);
  }

  remove(id: string): void {
    this.store.db.prepare('DELETE FROM boxes WHERE id = ?').run(id);
  }

  /** When the next box expires. */
  nextExpiry(): number | undefined {
    const row = this.store.db.prepare('SELECT min(expires) AS next FROM boxes').get() as { next: number | null };
    return row.next ?? undefined;
  }

  expired(): string[] {
    return this.store.db
      .prepare('SELECT id FROM boxes WHERE expires <= ?')
      .all(this.#now())
      .map((row) => String(row['id']));
  }

  #one(where: string, value: string): BoxRow | undefined {
    return this.#many(`SELECT * FROM boxes WHERE ${where}`, value)[0];
  }

  #many(sql: string, ...values: (string | number)[]): BoxRow[] {
    return (this.store.db.prepare(sql).all(...values) as unknown as StoredRow[]).map(fromStored);
  }
}

export interface PageQuery {
  readonly after: { readonly created: number; readonly id: string };
  readonly limit: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly userId?: string | undefined;
  readonly state?: BoxState | undefined;
}

interface StoredRow {
  id: string;
  user_id: string | null;
  runtime: string;
  agent: number;
  image_key: string;
  state: BoxState;
  reason: string | null;
  labels: string;
  disk_mib: number;
  memory_mib: number;
  cpus: number;
  address: string | null;
  run_id: string | null;
  spec: string | null;
  record: string | null;
  created: number;
  expires: number | null;
  intent: Intent | null;
}

function fromStored(row: StoredRow): BoxRow {
  return {
    id: row.id,
    userId: row.user_id,
    runtime: row.runtime,
    agent: row.agent === 1,
    imageKey: row.image_key,
    state: row.state,
    reason: row.reason,
    labels: JSON.parse(row.labels) as Record<string, string>,
    diskMib: row.disk_mib,
    memoryMib: row.memory_mib,
    cpus: row.cpus,
    address: row.address,
    runId: row.run_id,
    spec: row.spec === null ? null : (JSON.parse(row.spec) as VmSpec),
    record: row.record === null ? null : (JSON.parse(row.record) as VmRecord),
    created: row.created,
    expires: row.expires,
    intent: row.intent,
  };
}

/** The box as callers see it. */
export function boxOf(row: BoxRow): Box {
  const live = row.state === 'running' || row.state === 'paused';
  return {
    id: row.id,
    user_id: row.userId,
    runtime: row.runtime,
    state: row.state,
    reason: row.reason,
    labels: { ...row.labels },
    disk_mib: row.diskMib,
    memory_mib: row.memoryMib,
    cpus: row.cpus,
    vm_ip: row.address,
    pid: live ? (row.record?.pid ?? null) : null,
    run_id: live ? row.runId : null,
    created: new Date(row.created).toISOString(),
    expires: row.expires === null ? null : new Date(row.expires).toISOString(),
  };
}
