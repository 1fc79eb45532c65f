import type { Checkpoint } from '@citb/api';
import type { Store } from '../store.ts';

const migrations = [
  `CREATE TABLE checkpoints (
     id TEXT PRIMARY KEY,
     box_id TEXT NOT NULL,
     name TEXT,
     kind TEXT NOT NULL CHECK (kind IN ('manual', 'auto', 'agent')),
     -- Written before its files are, and before they go: what a crash leaves half done is removed.
     state TEXT NOT NULL CHECK (state IN ('making', 'ready', 'deleting')),
     memory INTEGER NOT NULL DEFAULT 0,
     size_bytes INTEGER NOT NULL DEFAULT 0,
     task_id TEXT,
     -- How the box's disk was when it was copied: equal later means nothing was written since.
     disk_stamp TEXT,
     created INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX checkpoints_of ON checkpoints (box_id, created, id);

   -- A box on its way back: its old state is given up, and the new disk lies beside the old one.
   CREATE TABLE rollbacks (box_id TEXT PRIMARY KEY, checkpoint_id TEXT NOT NULL, since INTEGER NOT NULL) STRICT;`,
];

/** What the database knows of a checkpoint. */
export interface CheckpointRow {
  readonly id: string;
  readonly boxId: string;
  readonly name: string | null;
  readonly kind: Checkpoint['kind'];
  readonly state: 'making' | 'ready' | 'deleting';
  readonly memory: boolean;
  readonly sizeBytes: number;
  readonly taskId: string | null;
  readonly diskStamp: string | null;
  /** ms since 1970. */
  readonly created: number;
}

/** A checkpoint before it is made. */
export type NewCheckpoint = Pick<CheckpointRow, 'id' | 'boxId' | 'name' | 'kind' | 'taskId'>;

/** What is known when it is made. */
export type MadeCheckpoint = Pick<CheckpointRow, 'memory' | 'sizeBytes' | 'diskStamp'>;

/** The tables of checkpoints and of rollbacks under way. */
export class CheckpointRows {
  readonly #store: Store;
  readonly #now: () => number;

  constructor(store: Store, now: () => number) {
    store.migrate('checkpoints', migrations);
    this.#store = store;
    this.#now = now;
  }

  begin({ id, boxId, name, kind, taskId }: NewCheckpoint): void {
    this.#run(
      `INSERT INTO checkpoints (id, box_id, name, kind, state, task_id, created) VALUES (?, ?, ?, ?, 'making', ?, ?)`,
      id,
      boxId,
      name,
      kind,
      taskId,
      this.#now(),
    );
  }

  ready(id: string, { memory, sizeBytes, diskStamp }: MadeCheckpoint): void {
    this.#run(
      `UPDATE checkpoints SET state = 'ready', memory = ?, size_bytes = ?, disk_stamp = ? WHERE id = ?`,
      Number(memory),
      sizeBytes,
      diskStamp,
      id,
    );
  }

  deleting(id: string): void {
    this.#run(`UPDATE checkpoints SET state = 'deleting' WHERE id = ?`, id);
  }

  remove(id: string): void {
    this.#run('DELETE FROM checkpoints WHERE id = ?', id);
  }

  /** The box is gone, and its folder with it. */
  forgetBox(boxId: string): void {
    this.#run('DELETE FROM checkpoints WHERE box_id = ?', boxId);
    this.#run('DELETE FROM rollbacks WHERE box_id = ?', boxId);
  }

  /** One that can be used. */
  get(boxId: string, id: string): CheckpointRow | undefined {
    return this.#select(`id = ? AND box_id = ? AND state = 'ready'`, id, boxId)[0];
  }

  /** Those that can be used, oldest first. */
  of(boxId: string): CheckpointRow[] {
    return this.#select(`box_id = ? AND state = 'ready'`, boxId);
  }

  /** Automatic ones of all boxes, oldest first: what may go when the host needs room. */
  automatic(): CheckpointRow[] {
    return this.#select(`kind = 'auto' AND state = 'ready'`);
  }

  /** Half made or half removed. */
  unsettled(): CheckpointRow[] {
    return this.#select(`state <> 'ready'`);
  }

  beginRollback(boxId: string, checkpointId: string): void {
    this.#run('INSERT OR REPLACE INTO rollbacks (box_id, checkpoint_id, since) VALUES (?, ?, ?)', boxId, checkpointId, this.#now());
  }

  endRollback(boxId: string): void {
    this.#run('DELETE FROM rollbacks WHERE box_id = ?', boxId);
  }

  /** Boxes whose rollback was begun and not ended. */
  rollbacks(): { boxId: string; checkpoint: string }[] {
    return this.#store.db
      .prepare('SELECT box_id, checkpoint_id FROM rollbacks')
      .all()
      .map((row) => ({ boxId: String(row['box_id']), checkpoint: String(row['checkpoint_id']) }));
  }

  #run(sql: string, ...values: (string | number | null)[]): void {
    this.#store.db.prepare(sql).run(...values);
  }

  #select(where: string, ...values: string[]): CheckpointRow[] {
    const rows = this.#store.db.prepare(`SELECT * FROM checkpoints WHERE ${where} ORDER BY created, rowid`).all(...values);
    return (rows as unknown as StoredRow[]).map(fromStored);
  }
}

interface StoredRow {
  id: string;
  box_id: string;
  name: string | null;
  kind: CheckpointRow['kind'];
  state: CheckpointRow['state'];
  memory: number;
  size_bytes: number;
  task_id: string | null;
  disk_stamp: string | null;
  created: number;
}

function fromStored(row: StoredRow): CheckpointRow {
  return {
    id: row.id,
    boxId: row.box_id,
    name: row.name,
    kind: row.kind,
    state: row.state,
    memory: row.memory === 1,
    sizeBytes: row.size_bytes,
    taskId: row.task_id,
    diskStamp: row.disk_stamp,
    created: row.created,
  };
}

/** The checkpoint as callers see it. */
export function checkpointOf(row: CheckpointRow): Checkpoint {
  return {
    id: row.id,
    box_id: row.boxId,
    name: row.name,
    kind: row.kind,
    memory: row.memory,
    size_bytes: row.sizeBytes,
    task_id: row.taskId,
    created: new Date(row.created).toISOString(),
  };
}
