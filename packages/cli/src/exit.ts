import { ApiError, ConnectionError } from '@citb/sdk';
import { CommanderError } from 'commander';

/** What scripts can rely on; `citb --help` shows this list. `exec` and `shell` pass the command's own code on. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  noConnection: 4,
  taskFailed: 5,
  taskInterrupted: 6,
  timeout: 124,
  /** Left by Ctrl-C, as shells have it: 128 + SIGINT. */
  interrupted: 130,
} as const;

export const exitCodesHelp = `Exit codes:
  0    done
  1    it failed
  2    wrong use of citb
  3    no such box, task or file
  4    no connection to the host, or the host is not ready
  5    the task failed
  6    the task was interrupted
  124  time was up
  130  left by Ctrl-C
  exec and shell end with the code of their command (128 + n: ended by signal n)`;

/** Something that the user asked for in a way that cannot be done. */
export class UsageError extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** A command failed for a reason that is neither the API's nor the user's. */
export class CommandError extends Error {
  readonly hint: string;
  readonly exitCode: number;

  constructor(message: string, hint: string, exitCode: number = exitCodes.failure) {
    super(message);
    this.name = 'CommandError';
    this.hint = hint;
    this.exitCode = exitCode;
  }
}

/** The exit code for anything thrown. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof CommandError) return error.exitCode;
  if (error instanceof ConnectionError) return exitCodes.noConnection;
  if (error instanceof ApiError) {
    if (error.status === 404) return exitCodes.notFound;
    if (error.code === 'host_stopping') return exitCodes.noConnection;
    if (error.status === 400 || error.status === 422) return exitCodes.usage;
  }
  return exitCodes.failure;
}
