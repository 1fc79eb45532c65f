import { limits, type TaskEvent } from '@citb/api';
import type { TaskHub } from './hub.ts';
import type { TaskTable } from './table.ts';

/**
 * The events of a task with a number larger than `after`: those recorded, then those that come, each once and in order; ends
 * after `completion`. `undefined` is a heartbeat. However slow the reader is, no more than one page is held for it: everything
 * is read from the database.
 */
export async function* readEvents(
  table: TaskTable,
  hub: TaskHub,
  taskId: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<TaskEvent | undefined> {
  // Subscribed before the first read: what is recorded in between is news.
  using subscription = hub.subscribe(taskId, signal);
  let last = after;
  while (!signal.aborted) {
    const row = table.find(taskId);
    const page = row === undefined ? [] : table.events(row, last);
    for (const event of page) {
      last = event.seq;
      yield event;
      if (event.type === 'completion' || signal.aborted) return;
    }
    if (page.length > 0) continue;
    // `after` may lie beyond the completion: then the row is all that tells.
    if (row === undefined || row.ended !== null || subscription.closed) return;
    if (!(await subscription.news(limits.heartbeatMs))) yield undefined;
  }
}
