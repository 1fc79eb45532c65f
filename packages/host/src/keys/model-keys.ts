import type { ModelKeys } from '../boxes/ports.ts';
import type { Store } from '../store.ts';
import type { Seal } from './sealed.ts';

const migrations = [`CREATE TABLE model_keys (box_id TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT`];

/** Anthropic keys: a box's own, sealed in the database, else the one the host was started with (memory only). */
export class SealedModelKeys implements ModelKeys {
  readonly #store: Store;
  readonly #seal: Seal;
  readonly #hostKey: string | undefined;

  constructor(store: Store, seal: Seal, hostKey: string | undefined) {
    store.migrate('model-keys', migrations);
    this.#store = store;
    this.#seal = seal;
    this.#hostKey = hostKey;
  }

  forBox(boxId: string): string | undefined {
    const row = this.#store.db.prepare('SELECT sealed FROM model_keys WHERE box_id = ?').get(boxId) as { sealed: Uint8Array } | undefined;
    return row === undefined ? this.#hostKey : this.#seal.open(row.sealed, place(boxId));
  }

  set(boxId: string, key: string): void {
    this.#store.db
      .prepare('INSERT INTO model_keys (box_id, sealed) VALUES (?, ?) ON CONFLICT (box_id) DO UPDATE SET sealed = excluded.sealed')
      .run(boxId, this.#seal.seal(key, place(boxId)));
  }

  /** Gives a box the own key of another; nothing happens when that has none. */
  copy(from: string, to: string): void {
    const row = this.#store.db.prepare('SELECT sealed FROM model_keys WHERE box_id = ?').get(from) as { sealed: Uint8Array } | undefined;
    if (row !== undefined) this.set(to, this.#seal.open(row.sealed, place(from)));
  }

  /** The box is gone, and so is its key. */
  forget(boxId: string): void {
    this.#store.db.prepare('DELETE FROM model_keys WHERE box_id = ?').run(boxId);
  }
}

function place(boxId: string): string {
  return `${boxId}/model-key`;
}
