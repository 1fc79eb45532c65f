import type { BoxState } from '@citb/api';
import type { Seal } from '../keys/sealed.ts';
import type { Store } from '../store.ts';
import type { VmRecord, VmSpec } from '../vmm/vmm.ts';
import { type BoxRow, type BoxSecrets, fromStored, type Intent, type NewRow, type RowSettings, type StoredRow } from './row.ts';
import { migrations } from './rows-schema.ts';
import { type Mover, mayMove } from './states.ts';

export { type BoxRow, type BoxSecrets, boxOf, type Intent, type NewRow } from './row.ts';

/** When to warn of the end of a box's time, in SQL: a minute before, or a tenth of a shorter time. */
const warnAt = 'expires - min(60000, ifnull(timeout_s, 600) * 100)';

/** The table of boxes. Written by a box's writer only, but for `insert` and `intend`, which hand the writer its work, and settings. */
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
        `INSERT INTO boxes (id, user_id, runtime, agent, image_key, state, labels, disk_mib, memory_mib, cpus, access_token, env, created, expires,
           idle_s, keep_alive_until, timeout_s, on_timeout, intent, intent_since)
         VALUES (?, ?, ?, ?, ?, 'creating', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'start', ?)`,
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
        row.idleS,
        row.keepAliveUntil,
        row.timeoutS,
        row.onTimeout,
        this.#now(),
      );
  }

  /** A box that comes with its disk: it boots on the first request. In a transaction of the caller's. */
  insertStopped(row: NewRow): void {
    this.insert(row);
    this.store.db.prepare(`UPDATE boxes SET state = 'stopped', intent = NULL WHERE id = ?`).run(row.id);
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

  /** Paused or stopped by somebody's wish, or not: see {@link BoxRow.asleep}. */
  setAsleep(id: string, asleep: boolean): void {
    this.store.db.prepare('UPDATE boxes SET asleep = ? WHERE id = ?').run(Number(asleep), id);
  }

  /**
   * A new incarnation is about to be started: from here on a process of this run belongs to the box. What was saved of the one
   * before stays good until it runs ({@link recordRun}).
   */
  beginRun(id: string, spec: VmSpec, imageKey: string): void {
    this.store.db
      .prepare('UPDATE boxes SET run_id = ?, spec = ?, record = NULL, address = ?, image_key = ?, asleep = 0 WHERE id = ?')
      .run(spec.runId, JSON.stringify(spec), spec.network.address, imageKey, id);
  }

  /** The process of the incarnation, which runs now: what was saved of the box's machine is used up. */
  recordRun(id: string, record: VmRecord): void {
    this.store.db
      .prepare('UPDATE boxes SET record = ?, saved = 0 WHERE id = ? AND run_id = ?')
      .run(JSON.stringify(record), id, record.runId);
  }

  /**
   * Moves the box; its intent, other than a kill, is done with. A box whose time was used up (see {@link expire}) gets it anew when it runs.
   * @throws when the machine of states has no such move: a bug
   */
  move(id: string, to: BoxState, by: Mover, reason: string | null = null): void {
    const row = this.get(id);
    if (row === undefined || !mayMove(row.state, to, by)) throw new Error(`the box ${id} cannot go from ${row?.state} to ${to} by ${by}`);
    this.store.db
      .prepare(
        `UPDATE boxes SET state = :to, reason = :reason, saved = :to = 'paused', asleep = iif(:to = 'running', 0, asleep),
           record = iif(:to = 'running', record, NULL), intent = iif(intent = 'kill', intent, NULL),
           expires = iif(:to = 'running' AND expires IS NULL, :now + timeout_s * 1000, expires) WHERE id = :id`,
      )
      .run({ id, to, reason, now: this.#now() });
  }

  /** A start that was given up without a move: the box is as it was. */
  forgetIntent(id: string): void {
    this.store.db.prepare(`UPDATE boxes SET intent = NULL, record = NULL WHERE id = ? AND intent = 'start'`).run(id);
  }

  /** A pause or a stop that was given up: the machine goes on running. */
  takeBack(id: string): void {
    this.store.db.prepare(`UPDATE boxes SET intent = NULL, asleep = 0 WHERE id = ? AND intent IN ('pause', 'stop')`).run(id);
  }

  /** Changes settings; a new end of its time is warned of anew. */
  set(id: string, { labels, idleS, keepAliveUntil, timeoutS, onTimeout, expires }: RowSettings): void {
    this.store.db
      .prepare(
        `UPDATE boxes SET labels = ?, idle_s = ?, keep_alive_until = ?, timeout_s = ?, on_timeout = ?, expires = ?,
           warned = iif(expires IS ?6, warned, NULL) WHERE id = ?`,
      )
      .run(JSON.stringify(labels), idleS, keepAliveUntil, timeoutS, onTimeout, expires, id);
  }

  remove(id: string): void {
    this.store.db.prepare('DELETE FROM boxes WHERE id = ?').run(id);
  }

  /** When there is next something to do about a box's time: a warning or its end. */
  nextExpiry(): number | undefined {
    const row = this.store.db.prepare(`SELECT min(iif(warned IS expires, expires, ${warnAt})) AS next FROM boxes`).get();
    return (row as { next: number | null }).next ?? undefined;
  }

  /** Boxes whose time is over. */
  expired(): BoxRow[] {
    return this.#many('SELECT * FROM boxes WHERE expires <= ?', this.#now());
  }

  /** Boxes whose time is soon over and that were not warned; counts as a warning. */
  toWarn(): BoxRow[] {
    const found = this.#many(`SELECT * FROM boxes WHERE ${warnAt} <= ? AND warned IS NOT expires`, this.#now());
    for (const { id } of found) this.store.db.prepare('UPDATE boxes SET warned = expires WHERE id = ?').run(id);
    return found;
  }

  /** What had to be done at the end of its time was done; it begins anew when the box runs again. */
  expire(id: string): void {
    this.store.db.prepare('UPDATE boxes SET expires = NULL WHERE id = ? AND expires <= ?').run(id, this.#now());
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
