import type { Task, TaskEvent, TaskOutcome, TaskState } from '@citb/api';
import type { Store } from '../store.ts';
import { taskMigrations } from './schema.ts';

/** A row of `tasks`. */
export interface TaskRow {
  readonly number: number;
  readonly id: string;
  readonly box_id: string;
  readonly state: TaskState;
  readonly conversation: string;
  readonly prompt: string;
  readonly created: string;
  readonly started: string | null;
  readonly ended: string | null;
  readonly outcome: TaskOutcome | null;
  readonly result: string | null;
  readonly usage: string | null;
  readonly last_seq: number;
  readonly event_bytes: number;
  readonly truncated: 0 | 1;
  readonly guest_epoch: number;
  readonly guest_seq: number;
  readonly run_id: string | null;
  readonly cancel_asked: 0 | 1;
  readonly forgotten: 0 | 1;
  /** Its box was killed: only those who read it know it. */
  readonly buried: 0 | 1;
  /** See {@link TaskTable.isHeld}. */
  readonly prepared: 0 | 1;
}

export interface NewRow {
  readonly id: string;
  readonly boxId: string;
  readonly conversation: string;
  readonly prompt: string;
  readonly created: string;
  /** Body of the agent server's `POST /tasks`. */
  readonly request: string;
}

/** Largest page of events read at once, in characters: what one subscriber can hold in memory. */
const pageLength = 1024 * 1024;

/** Reads and small writes of the task tables; events are written by `record.ts`. */
export type TaskTable = ReturnType<typeof createTaskTable>;

export function createTaskTable(store: Store) {
  store.migrate('tasks', taskMigrations);
  const { db } = store;
  const byId = db.prepare('SELECT * FROM tasks WHERE id = ?');
  const insert = db.prepare(`INSERT INTO tasks (id, box_id, state, conversation, prompt, created) VALUES (?, ?, 'queued', ?, ?, ?)`);
  const insertSpool = db.prepare('INSERT INTO task_spool (task, request) VALUES (?, ?)');
  const spool = db.prepare('SELECT request FROM task_spool WHERE task = ?');
  const dropSpool = db.prepare('DELETE FROM task_spool WHERE task = ?');
  const drop = db.prepare('DELETE FROM tasks WHERE id = ?');
  const buryBox = db.prepare('UPDATE tasks SET buried = 1 WHERE box_id = ? RETURNING id');
  const dropBuried = db.prepare('DELETE FROM tasks WHERE buried = 1');
  const pageOfBox = db.prepare('SELECT * FROM tasks WHERE box_id = ? AND buried = 0 AND number < ? ORDER BY number DESC LIMIT ?');
  const unfinished = db.prepare('SELECT * FROM tasks WHERE ended IS NULL ORDER BY number');
  const unfinishedOfBox = db.prepare('SELECT * FROM tasks WHERE box_id = ? AND ended IS NULL ORDER BY number');
  const unforgotten = db.prepare(
    'SELECT * FROM tasks WHERE box_id = ? AND buried = 0 AND ended IS NOT NULL AND forgotten = 0 ORDER BY number LIMIT 100',
  );
  const setForgotten = db.prepare('UPDATE tasks SET forgotten = 1 WHERE id = ?');
  const setPrepared = db.prepare('UPDATE tasks SET prepared = 1 WHERE id = ?');
  const setCancelAsked = db.prepare('UPDATE tasks SET cancel_asked = 1 WHERE id = ?');
  const setRun = db.prepare('UPDATE tasks SET run_id = ? WHERE id = ?');
  const eventsAfter = db.prepare('SELECT body FROM task_events WHERE task = ? AND seq > ? ORDER BY seq');

  return {
    find: (id: string) => byId.get(id) as TaskRow | undefined,

    /** Records a task and its request; in a transaction of the caller's. */
    add({ id, boxId, conversation, prompt, created, request }: NewRow): void {
      const { lastInsertRowid } = insert.run(id, boxId, conversation, prompt, created);
      insertSpool.run(lastInsertRowid, request);
    },
    /** The request that the guest has not acknowledged yet. */
    spooled: (row: TaskRow) => (spool.get(row.number) as { request: string } | undefined)?.request,
    /** Its turn has not come: the guest has never heard of it. */
    isHeld: (row: TaskRow) => row.ended === null && row.prepared === 0 && spool.get(row.number) !== undefined,
    /** Its turn came, and what is done before it was done. */
    prepared: (id: string) => void setPrepared.run(id),
    acknowledged: (row: TaskRow) => void dropSpool.run(row.number),
    remove: (id: string) => void drop.run(id),
    /** The box is gone: its tasks are in no list any more. @returns their ids */
    bury: (boxId: string) => (buryBox.all(boxId) as unknown as { id: string }[]).map(({ id }) => id),
    /** What an earlier daemon kept for its readers. */
    removeBuried: () => void dropBuried.run(),

    /** Newest first, those with a smaller number than `before`. */
    page: (boxId: string, before: number, limit: number) => pageOfBox.all(boxId, before, limit) as unknown as TaskRow[],
    unfinished: () => unfinished.all() as unknown as TaskRow[],
    unfinishedOf: (boxId: string) => unfinishedOfBox.all(boxId) as unknown as TaskRow[],
    /** Ended tasks whose journal is still in the guest. */
    unforgottenOf: (boxId: string) => unforgotten.all(boxId) as unknown as TaskRow[],

    forgotten: (id: string) => void setForgotten.run(id),
    cancelAsked: (id: string) => void setCancelAsked.run(id),
    /** The journal of this run is known to go on from what was recorded. */
    alignedWith: (id: string, runId: string) => void setRun.run(runId, id),

    /** The next events after a number: at least one when there is one, at most about a MiB. */
    events(row: TaskRow, after: number): TaskEvent[] {
      const page: TaskEvent[] = [];
      let length = 0;
      for (const { body } of eventsAfter.iterate(row.number, after) as Iterable<{ body: string }>) {
        page.push(JSON.parse(body) as TaskEvent);
        length += body.length;
        if (length >= pageLength) break;
      }
      return page;
    },
  };
}

/** The public form of a row. */
export function taskOf(row: TaskRow): Task {
  const { id, box_id, state, conversation, prompt, created, started, ended, last_seq, outcome, result } = row;
  const usage = row.usage === null ? null : (JSON.parse(row.usage) as Task['usage']);
  return { id, box_id, state, conversation, prompt, created, started, ended, last_seq, outcome, result, usage };
}
