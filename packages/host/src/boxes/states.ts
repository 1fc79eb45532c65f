import type { BoxState } from '@citb/api';

/** Who moves a box; all of them run in the box's writer. */
export type Mover = 'start' | 'lost' | 'adopt' | 'pause' | 'stop' | 'wake' | 'rollback';

/**
 * The machine: from a state, to a state, by whom. What is not here does not happen.
 *
 * - A box whose creation fails is not `failed`: nobody was told of it, so it is removed without a trace.
 * - `killed` is no row: every state can end in it, by the `kill` of the writer or of the reconciler.
 * - `paused` has no process: its memory lies beside its disk. A wake uses it up: it ends in `running`, or in `stopped` when the
 *   memory could not be brought back, and then the box boots from its disk.
 * - `stopped` and `failed` differ only in what is shown: both start again on the next request.
 */
const machine: Readonly<Record<BoxState, Partial<Record<BoxState, readonly Mover[]>>>> = {
  creating: { running: ['start'] },
  running: { stopped: ['lost', 'adopt', 'stop', 'rollback'], failed: ['lost'], paused: ['pause'] },
  paused: { running: ['start'], stopped: ['wake', 'rollback'] },
  stopped: { running: ['start'], failed: ['start'] },
  failed: { running: ['start'], failed: ['start'] },
};

/** True when `by` may move a box from one state to another. */
export function mayMove(from: BoxState, to: BoxState, by: Mover): boolean {
  return machine[from][to]?.includes(by) ?? false;
}
