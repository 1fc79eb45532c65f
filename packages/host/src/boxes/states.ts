import type { BoxState } from '@citb/api';

/** Who moves a box; all of them run in the box's writer. */
export type Mover = 'start' | 'lost' | 'adopt' | 'pause' | 'resume';

/**
 * The machine: from a state, to a state, by whom. What is not here does not happen.
 *
 * - A box whose creation fails is not `failed`: nobody was told of it, so it is removed without a trace.
 * - `killed` is no row: every state can end in it, by the `kill` of the writer or of the reconciler.
 * - `stopped` and `failed` differ only in what is shown: both start again on the next request.
 */
const machine: Readonly<Record<BoxState, Partial<Record<BoxState, readonly Mover[]>>>> = {
  creating: { running: ['start'] },
  running: { stopped: ['lost', 'adopt'], failed: ['lost'], paused: ['pause'] },
  paused: { running: ['resume'], stopped: ['lost', 'adopt'], failed: ['lost'] },
  stopped: { running: ['start'], failed: ['start'] },
  failed: { running: ['start'], failed: ['start'] },
};

/** True when `by` may move a box from one state to another. */
export function mayMove(from: BoxState, to: BoxState, by: Mover): boolean {
  return machine[from][to]?.includes(by) ?? false;
}
