/** A program and its arguments. */
export interface Program {
  readonly cmd: string;
  readonly args: string[];
}

/** Runs "$1" in bash where the image has it, else in sh; as a login shell, so that PATH is what a user has. */
const inShell = 'if command -v bash >/dev/null 2>&1; then exec bash -lc "$1"; else exec sh -lc "$1"; fi';
const loginShell = 'if command -v bash >/dev/null 2>&1; then exec bash -l; else exec sh -l; fi';

/** What runs a command: a string goes to the shell, a list is a program with its arguments. */
export function programOf(command: string | readonly string[]): Program {
  if (typeof command === 'string') return { cmd: '/bin/sh', args: ['-c', inShell, 'sh', command] };
  const [cmd = '', ...args] = command;
  return { cmd, args };
}

/** What a terminal runs. */
export const terminalProgram: Program = { cmd: '/bin/sh', args: ['-c', loginShell] };
