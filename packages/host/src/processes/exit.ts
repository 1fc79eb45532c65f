import type { ProcessEvent_EndEvent } from '@citb/api/gen/process_pb.js';
import type { ExecEvent } from '@citb/api';
import { guestText } from '../guest/errors.ts';

export type ExitEvent = Extract<ExecEvent, { type: 'exit' }>;

/** Go's words for signals, in which E2B's envd states them ("signal: killed"). */
const signalWords: Readonly<Record<string, string>> = {
  hangup: 'SIGHUP',
  interrupt: 'SIGINT',
  quit: 'SIGQUIT',
  'illegal instruction': 'SIGILL',
  'trace/breakpoint trap': 'SIGTRAP',
  aborted: 'SIGABRT',
  'bus error': 'SIGBUS',
  'floating point exception': 'SIGFPE',
  killed: 'SIGKILL',
  'segmentation fault': 'SIGSEGV',
  'broken pipe': 'SIGPIPE',
  'alarm clock': 'SIGALRM',
  terminated: 'SIGTERM',
};

/** The last event of a process, from envd's. */
export function exitOf({ exited, exitCode, status, error }: ProcessEvent_EndEvent, timedOut: boolean): ExitEvent {
  return {
    type: 'exit',
    exit_code: exited ? exitCode : null,
    signal: exited ? null : signalOf(status),
    timed_out: timedOut,
    // For a program that ran and ended envd repeats its status here.
    error: error === undefined || error === status ? null : guestText(error),
  };
}

function signalOf(status: string): string | null {
  const name = /\bSIG[A-Z0-9]{2,8}\b/.exec(status)?.[0];
  return name ?? signalWords[status.replace(/^signal: /, '').replace(/ \(core dumped\)$/, '')] ?? null;
}
