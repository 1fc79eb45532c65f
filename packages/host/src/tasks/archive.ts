import { randomUUID } from 'node:crypto';
import type { Task, TaskEvent } from '@citb/api';
import type { Store } from '../store.ts';
import { newTaskId } from './ids.ts';
import { taskMigrations } from './schema.ts';
import { taskOf, type TaskRow } from './table.ts';

/** The tasks of a box as they leave the host with it, and come to another. */
export interface TaskArchive {
  /** Oldest first. */
  tasksOf(boxId: string): Iterable<Task>;
  /** Task by task, in order. */
  eventsOf(boxId: string): Iterable<{ task: string; event: TaskEvent }>;
  /** Takes tasks of a box that is being imported: they belong to no box until it is there. */
  stage(): StagedTasks;
  /** What an import that was cut off has left. */
  dropStaged(): void;
}

/** Tasks on their way to a box. */
export interface StagedTasks {
  /** One that had not ended ends here as interrupted. One whose id this host has already gets another. */
  addTask(task: Task): void;
  /** An event of a task that was added, in order; others are left out. */
  addEvent(taskId: string, event: TaskEvent): void;
  /** The box is there; in a transaction of the caller's. */
  giveTo(boxId: string): void;
  drop(): void;
}

/** No box has such an id. */
const stagedPrefix = 'import:';

export function createTaskArchive(store: Store): TaskArchive {
  store.migrate('tasks', taskMigrations);
  const { db } = store;
  const ofBox = db.prepare('SELECT * FROM tasks WHERE box_id = ? ORDER BY number');
  const events = db.prepare(
    'SELECT tasks.id AS task, task_events.body FROM task_events JOIN tasks ON tasks.number = task_events.task WHERE tasks.box_id = ? ORDER BY tasks.number, seq',
  );
  const known = db.prepare('SELECT 1 FROM tasks WHERE id = ?');
  // The guest's journals are not asked for: what it still has of these tasks is dropped when the box first starts.
  const insert = db.prepare(
    `INSERT INTO tasks (id, box_id, state, conversation, prompt, created, started, ended, outcome, result, usage, forgotten)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`,
  );
  const insertEvent = db.prepare('INSERT INTO task_events (task, seq, body) SELECT number, ?, ? FROM tasks WHERE id = ?');
  const count = db.prepare('UPDATE tasks SET last_seq = max(last_seq, ?), event_bytes = event_bytes + ? WHERE id = ?');

  const give = db.prepare('UPDATE tasks SET box_id = ? WHERE box_id = ?');
  const drop = db.prepare('DELETE FROM tasks WHERE box_id = ?');

  return {
    *tasksOf(boxId) {
      // All at once: a reader that takes its time must not hold the database. Prompts are cut to 2000 characters.
      for (const row of ofBox.all(boxId) as unknown as TaskRow[]) yield taskOf(row);
    },
    *eventsOf(boxId) {
      for (const row of events.iterate(boxId) as Iterable<{ task: string; body: string }>)
        yield { task: row.task, event: JSON.parse(row.body) as TaskEvent };
    },
    dropStaged() {
      db.prepare(`DELETE FROM tasks WHERE box_id LIKE '${stagedPrefix}%'`).run();
    },
    stage() {
      const place = `${stagedPrefix}${randomUUID()}`;
      const ids = new Map<string, string>();
      return {
        addTask(task) {
          const id = known.get(task.id) === undefined ? task.id : newTaskId();
          ids.set(task.id, id);
          const open = task.ended === null;
          insert.run(
            id,
            place,
            open ? 'interrupted' : task.state,
            task.conversation,
            task.prompt,
            task.created,
            task.started,
            open ? task.created : task.ended,
            open ? 'interrupted' : task.outcome,
            open ? 'The task had not ended when the box was exported.' : task.result,
            task.usage === null ? null : JSON.stringify(task.usage),
          );
        },
        addEvent(taskId, event) {
          const id = ids.get(taskId);
          if (id === undefined) return;
          const body = JSON.stringify(event);
          insertEvent.run(event.seq, body, id);
          count.run(event.seq, body.length, id);
        },
        giveTo: (boxId) => void give.run(boxId, place),
        drop: () => void drop.run(place),
      };
    },
  };
}
