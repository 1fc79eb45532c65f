import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ProcessEvent_EndEventSchema } from '@citb/api/gen/process_pb.js';
import type { End } from './program.ts';

/** Signals in the words of Go's os package, in which E2B's clients know them. Others go by their name. */
const words: Readonly<Partial<Record<NodeJS.Signals, string>>> = {
  SIGHUP: 'hangup',
  SIGINT: 'interrupt',
  SIGQUIT: 'quit',
  SIGILL: 'illegal instruction',
  SIGTRAP: 'trace/breakpoint trap',
  SIGABRT: 'aborted',
  SIGBUS: 'bus error',
  SIGFPE: 'floating point exception',
  SIGKILL: 'killed',
  SIGSEGV: 'segmentation fault',
  SIGPIPE: 'broken pipe',
  SIGALRM: 'alarm clock',
  SIGTERM: 'terminated',
};

/** E2B's last event of a process: `exit status 3`, or `signal: killed` with exit code -1. `error` repeats it for all but 0. */
export function endEvent({ code, signal }: End): MessageInitShape<typeof ProcessEvent_EndEventSchema> {
  const status = signal === null ? `exit status ${code ?? -1}` : `signal: ${words[signal] ?? signal}`;
  const end = { exitCode: signal === null ? (code ?? -1) : -1, exited: signal === null, status };
  return code === 0 ? end : { ...end, error: status };
}
