import type { BoxChange } from '../services.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';

/**
 * Changes what can be changed of a box, whatever its machine does. A new `timeoutS` counts from now.
 */
export function changeBox({ rows, events, now }: Pick<BoxParts, 'rows' | 'events' | 'now'>, row: BoxRow, change: BoxChange): void {
  const { labels, idleS, keepAliveUntil, timeoutS, onTimeout } = change;
  const names = {
    labels: labels !== undefined,
    idle_s: idleS !== undefined,
    keep_alive_until: keepAliveUntil !== undefined,
    timeout_s: timeoutS !== undefined,
    on_timeout: onTimeout !== undefined,
  };
  const changed = Object.entries(names).flatMap(([name, given]) => (given ? [name] : []));
  if (changed.length === 0) return;
  rows.store.transaction(() => {
    rows.set(row.id, {
      labels: labels ?? row.labels,
      idleS: idleS ?? row.idleS,
      keepAliveUntil: keepAliveUntil === undefined ? row.keepAliveUntil : keepAliveUntil,
      timeoutS: timeoutS === undefined ? row.timeoutS : timeoutS,
      onTimeout: onTimeout ?? row.onTimeout,
      expires: timeoutS === undefined ? row.expires : timeoutS === null ? null : now() + timeoutS * 1000,
    });
    events.add(row.id, 'updated', { changed });
  });
}
