import type { TaskOutcome } from '@citb/api';
import type { Trouble } from '../events/model-errors.ts';
import type { TurnEnd } from '../events/turn.ts';
import type { TaskUsage } from '../events/usage.ts';

/** Why a task is stopped from outside. */
export type StopReason = 'cancelled' | 'timeout' | 'journal_full';

/** All that a task's last events say. */
export interface Conclusion {
  readonly outcome: TaskOutcome;
  /** A sentence to print. */
  readonly content: string;
  readonly trouble?: Trouble | undefined;
  readonly stopReason: string | null;
  readonly usage?: TaskUsage | undefined;
  readonly sessionId?: string;
}

const stops: Readonly<Record<StopReason, { content: string; trouble?: Trouble; outcome: TaskOutcome }>> = {
  cancelled: { outcome: 'interrupted', content: 'The task was cancelled. What it did so far is kept.' },
  timeout: {
    outcome: 'interrupted',
    content: 'The task ran out of time and was stopped. What it did so far is kept.',
    trouble: { code: 'timeout', message: 'The task ran out of time.', hint: 'Send a new task to go on, or set a larger timeout_s.' },
  },
  journal_full: {
    outcome: 'failed',
    content: 'The task was stopped because its events could not be written: the state disk of the box is full.',
    trouble: {
      code: 'journal_full',
      message: 'The events of the task could not be written: the state disk of the box is full.',
      hint: 'Files are kept. Send a new task to go on.',
    },
  },
};

/** What a turn and a wish to stop it come to. */
export function conclusionOf(end: TurnEnd | undefined, stopped: StopReason | undefined): Conclusion {
  const shared = { stopReason: end?.stopReason ?? null, usage: end?.usage };
  if (stopped !== undefined) return { ...stops[stopped], ...shared };
  if (end === undefined || (end.outcome === 'failed' && end.trouble === undefined))
    return { ...failed({ code: 'agent_failed', message: 'The agent ended the task without a result.' }), ...shared };
  if (end.trouble !== undefined) return { ...failed(end.trouble), ...shared };
  if (end.outcome === 'interrupted')
    return { ...stops.cancelled, content: 'The task was interrupted. What it did so far is kept.', ...shared };
  return { outcome: end.outcome, content: end.answer === '' ? 'Done.' : end.answer, ...shared };
}

/** The end of a task that went wrong. */
export function failed(trouble: Trouble): Conclusion {
  const hint = trouble.hint === undefined ? '' : ` ${trouble.hint}`;
  return { outcome: 'failed', content: `${trouble.message}${hint}`, trouble, stopReason: null };
}
