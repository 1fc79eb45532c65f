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

/** Part of the bounds that deltas may fill: the rest stays free for what tells the whole story. */
const deltaShare = 0.75;

/**
 * The only writer of events: numbers them, keeps them and what follows from them (the task's state) in one transaction, then
 * wakes the subscribers. An event of the guest that is here already is left out, so that reading its journal again is harmless.
 */
export function createRecorder(store: Store, table: TaskTable, hub: TaskHub, now: () => Date): RecordEvents {
  const insert = store.db.prepare('INSERT INTO task_events (task, seq, guest_epoch, guest_seq, body) VALUES (?, ?, ?, ?, ?)');
  const update = store.db.prepare(
    `UPDATE tasks SET state = ?, started = ?, ended = ?, outcome = ?, result = ?, usage = ?,
       last_seq = ?, event_bytes = ?, truncated = ?, guest_seq = ? WHERE number = ?`,
  );

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
        if (guestSeq !== undefined) {
          if (guestSeq <= row.guest_seq) continue;
          row.guest_seq = guestSeq;
        }
        if (hasRoom(row, event)) write(row, event, guestSeq);
        else if (row.truncated === 0) {
          row.truncated = 1;
          write(
            row,
            { type: 'status', content: { status: 'truncated', message: 'The task has too many events; some are left out from here on.' } },
            undefined,
          );
        }
      }
      const { state, started, ended, outcome, result, usage, last_seq, event_bytes, truncated, guest_seq, number } = row;
      if (guest_seq !== found.guest_seq || last_seq !== found.last_seq) {
        update.run(state, started, ended, outcome, result, usage, last_seq, event_bytes, truncated, guest_seq, number);
      }
      return { state: ended === null ? 'open' : 'ended', added: last_seq - found.last_seq };
    });
    if (recorded.added > 0) hub.wake(taskId);
    return recorded;
  };
}

type Writable = { -readonly [K in keyof TaskRow]: TaskRow[K] };

/** Within the bounds of a task. Its end is always kept. */
function hasRoom(row: TaskRow, event: NewTaskEvent): boolean {
  if (event.type === 'completion') return true;
  const share = event.type === 'text_delta' || event.type === 'thinking_delta' ? deltaShare : 1;
  return row.last_seq < limits.eventsPerTask * share && row.event_bytes < limits.eventBytesPerTask * share;
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
