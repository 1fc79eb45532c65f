import { limits, type NewTaskEvent, type TaskEvent } from '@citb/api';
import type { Store } from '../store.ts';
import type { TaskHub } from './hub.ts';
import type { TaskRow, TaskTable } from './table.ts';

/** An event to be recorded; with the number it has in the guest's journal when it comes from there. */
export interface Recordable {
  readonly guestSeq?: number;
  readonly event: NewTaskEvent;
}

/** What became of it. `gone`: the task's box was killed. */
export interface Recorded {
  readonly state: 'open' | 'ended' | 'gone';
  /** Events that were new. */
  readonly added: number;
}

export type RecordEvents = (taskId: string, events: readonly Recordable[]) => Recorded;

/** What is kept of one task. `bytes`: characters of JSON. */
export interface EventBounds {
  readonly events: number;
  readonly bytes: number;
}

/** Part of the bounds that deltas may fill: the rest stays free for what tells the whole story. */
const deltaShare = 0.75;

/**
 * The only writer of events: numbers them, keeps them and what follows from them (the task's state) in one transaction, then
 * wakes the subscribers. An event of the guest that is here already is left out, so that reading its journal again is harmless;
 * another event under a number that was seen is new: the guest crashed, and lost what had that number.
 */
export function createRecorder(
  store: Store,
  table: TaskTable,
  hub: TaskHub,
  now: () => Date,
  bounds: EventBounds = { events: limits.eventsPerTask, bytes: limits.eventBytesPerTask },
): RecordEvents {
  const insert = store.db.prepare('INSERT INTO task_events (task, seq, guest_epoch, guest_seq, body) VALUES (?, ?, ?, ?, ?)');
  const update = store.db.prepare(
    `UPDATE tasks SET state = ?, started = ?, ended = ?, outcome = ?, result = ?, usage = ?,
       last_seq = ?, event_bytes = ?, truncated = ?, guest_epoch = ?, guest_seq = ? WHERE number = ?`,
  );
  const seen = store.db.prepare('SELECT body FROM task_events WHERE task = ? AND guest_seq = ? ORDER BY guest_epoch DESC LIMIT 1');

  /** Moves the row to a guest's event. False: it is here, or was left out before. */
  function advance(row: Writable, event: NewTaskEvent, guestSeq: number): boolean {
    if (guestSeq <= row.guest_seq) {
      const before = seen.get(row.number, guestSeq) as { body: string } | undefined;
      if (before === undefined || isSame(before.body, event)) return false;
      row.guest_epoch += 1;
    }
    row.guest_seq = guestSeq;
    return true;
  }

  function write(row: Writable, event: NewTaskEvent, guestSeq: number | undefined): void {
    const ts = now().toISOString();
    row.last_seq += 1;
    const body = JSON.stringify({ ...event, seq: row.last_seq, ts } satisfies TaskEvent);
    insert.run(row.number, row.last_seq, guestSeq === undefined ? null : row.guest_epoch, guestSeq ?? null, body);
    row.event_bytes += body.length;
    follow(row, event, ts);
  }

  return (taskId, events) => {
    const recorded = store.transaction((): Recorded => {
      const found = table.find(taskId);
      if (found === undefined) return { state: 'gone', added: 0 };
      const row: Writable = { ...found };
      for (const { event, guestSeq } of events) {
        if (row.ended !== null) break;
        if (guestSeq !== undefined && !advance(row, event, guestSeq)) continue;
        if (hasRoom(row, event, bounds)) write(row, event, guestSeq);
        else if (row.truncated === 0) {
          row.truncated = 1;
          write(
            row,
            { type: 'status', content: { status: 'truncated', message: 'The task has too many events; some are left out from here on.' } },
            undefined,
          );
        }
      }
      const { state, started, ended, outcome, result, usage, last_seq, event_bytes, truncated, guest_epoch, guest_seq, number } = row;
      if (guest_seq !== found.guest_seq || last_seq !== found.last_seq) {
        update.run(state, started, ended, outcome, result, usage, last_seq, event_bytes, truncated, guest_epoch, guest_seq, number);
      }
      return { state: ended === null ? 'open' : 'ended', added: last_seq - found.last_seq };
    });
    if (recorded.added > 0) hub.wake(taskId);
    return recorded;
  };
}

type Writable = { -readonly [K in keyof TaskRow]: TaskRow[K] };

/** The same event, whatever number and time it was given. Both went through the same schema, so their fields are in the same order. */
function isSame(body: string, event: NewTaskEvent): boolean {
  const { seq: _seq, ts: _ts, ...before } = JSON.parse(body) as TaskEvent;
  return JSON.stringify(before) === JSON.stringify(event);
}

/** Within the bounds of a task. Its end is always kept. */
function hasRoom(row: TaskRow, event: NewTaskEvent, bounds: EventBounds): boolean {
  if (event.type === 'completion') return true;
  const share = event.type === 'text_delta' || event.type === 'thinking_delta' ? deltaShare : 1;
  return row.last_seq < bounds.events * share && row.event_bytes < bounds.bytes * share;
}

/** What an event says about its task. */
function follow(row: Writable, event: NewTaskEvent, ts: string): void {
  if (
    row.started === null &&
    !(event.type === 'status' && event.content.status === 'queued') &&
    event.type !== 'completion' &&
    event.type !== 'error'
  ) {
    row.state = 'running';
    row.started = ts;
  }
  if (event.type === 'usage') row.usage = JSON.stringify(event.content);
  if (event.type === 'completion') {
    row.state = event.outcome;
    row.outcome = event.outcome;
    row.ended = ts;
    row.result = event.content;
    if (event.usage !== undefined) row.usage = JSON.stringify(event.usage);
  }
}
