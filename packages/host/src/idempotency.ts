import { ApiError } from '@citb/api';
import type { Seal } from './keys/sealed.ts';
import type { Store } from './store.ts';

/** How long a key is remembered, in ms: a day, as clients of payment APIs know it. */
const keptMs = 24 * 3600 * 1000;

const migrations = [
  `CREATE TABLE idempotency (
     scope TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, subject TEXT NOT NULL, created INTEGER NOT NULL,
     PRIMARY KEY (scope, key)
   ) STRICT`,
];

/**
 * What was made under which `Idempotency-Key`, for any part of the host. Use it in the transaction that makes the thing:
 * `find`, and when that is undefined make it and `remember` it.
 */
export class Idempotency {
  readonly #store: Store;
  readonly #seal: Seal;
  readonly #now: () => number;

  constructor(store: Store, seal: Seal, now: () => number) {
    store.migrate('idempotency', migrations);
    this.#store = store;
    this.#seal = seal;
    this.#now = now;
  }

  /**
   * The id of what was made by the same request under this key; undefined when the key is new (or older than a day).
   * @param scope keeps the keys of different routes and boxes apart: `boxes`, `tasks/<box id>`
   * @throws idempotency_conflict when the key came with another request
   */
  find(scope: string, key: string, request: unknown): string | undefined {
    const row = this.#store.db
      .prepare('SELECT fingerprint, subject FROM idempotency WHERE scope = ? AND key = ? AND created > ?')
      .get(scope, key, this.#now() - keptMs) as { fingerprint: string; subject: string } | undefined;
    if (row !== undefined && row.fingerprint !== this.#fingerprint(request)) throw new ApiError('idempotency_conflict');
    return row?.subject;
  }

  /** Notes what was made. */
  remember(scope: string, key: string, request: unknown, subject: string): void {
    this.#store.db
      .prepare('INSERT OR REPLACE INTO idempotency (scope, key, fingerprint, subject, created) VALUES (?, ?, ?, ?, ?)')
      .run(scope, key, this.#fingerprint(request), subject, this.#now());
  }

  /** It was not made after all: the same key makes a new one. */
  forget(scope: string, subject: string): void {
    this.#store.db.prepare('DELETE FROM idempotency WHERE scope = ? AND subject = ?').run(scope, subject);
  }

  /** Drops what is older than a day. */
  prune(): void {
    this.#store.db.prepare('DELETE FROM idempotency WHERE created <= ?').run(this.#now() - keptMs);
  }

  #fingerprint(request: unknown): string {
    return this.#seal.fingerprint(canonical(request));
  }
}

/** JSON with sorted keys, so that the order of fields makes no other request. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}
