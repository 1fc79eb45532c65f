import type { ApiError } from '@citb/api';
import type { RecordEvents } from './record.ts';
import type { TaskRow } from './table.ts';

/**
 * Ends a task from the host, when the guest will not: an error event, then completion, so that every stream ends the same way.
 * A task that somebody wanted to cancel ends as `interrupted`.
 */
export function finish(record: RecordEvents, row: TaskRow, error: ApiError, outcome: 'failed' | 'interrupted' = 'failed'): void {
  const { code, message, hint } = error;
  record(row.id, [
    { event: { type: 'error', content: { code, message, hint } } },
    { event: { type: 'completion', content: message, outcome: row.cancel_asked === 1 ? 'interrupted' : outcome, stop_reason: null } },
  ]);
}
