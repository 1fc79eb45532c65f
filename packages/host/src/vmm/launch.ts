import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import type { Cgroup } from './cgroup.ts';
import { identify, type ProcessIdentity } from './process.ts';
import { VmmError } from './vmm-error.ts';

/** How much of a VMM's own words goes into an error, in bytes. */
const errorBytes = 4096;
/** How large its log may grow before it is emptied. */
const logBytes = 256 * 1024;
const noWords = 'it left no message';

/** Debian's packages for the programs that are called otherwise. */
const packages: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  setpriv: 'util-linux',
};

/**
 * Starts a program that outlives this one: a session of its own, no pipe to us (its end would be a SIGPIPE there), output to
 * a file. It moves into its cgroup while it starts.
 * @returns `limited` resolves when it is in its cgroup, which takes the kernel 10-20 ms: await it before it takes memory
 * @throws VmmError when it cannot be started
 */
export async function launch(
  command: readonly string[],
  logPath: string,
  cgroup: Cgroup,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ child: ChildProcess; identity: ProcessIdentity; limited: Promise<void> }> {
  const [program = '', ...args] = command;
  const log = await open(logPath, 'w', 0o600).then(async (file) => {
    await file.close();
    return open(logPath, 'a');
  });
  try {
    const child = spawn(program, args, {
      detached: true,
      cwd: '/',
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', ...environment },
    });
    child.unref();
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [NodeJS.ErrnoException];
      throw new VmmError(error.code === 'ENOENT' ? notInstalled(program) : `${program} does not start: ${error.message}`);
    }
    const identity = identify(child.pid);
    if (identity === undefined) throw new VmmError(await lastWords(logPath));
    const limited = cgroup.add(child.pid).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ESRCH') throw error;
    });
    // Who awaits it later is told then.
    limited.catch(() => undefined);
    return { child, identity, limited };
  } finally {
    await log.close();
  }
}

/** What a VMM said at last, for an error; a sentence when it said nothing. */
export async function lastWords(logPath: string): Promise<string> {
  const file = await open(logPath, 'r').catch(() => undefined);
  if (file === undefined) return noWords;
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(errorBytes), 0, errorBytes, Math.max(0, size - errorBytes));
    const lines = buffer.toString('utf8', 0, bytesRead).trim().split('\n');
    return lines.at(-1) || noWords;
  } finally {
    await file.close();
  }
}

/** Keeps the log of a long run bounded: a guest may find a message that it can provoke again and again. */
export async function boundLog(logPath: string): Promise<void> {
  const file = await open(logPath, 'r+').catch(() => undefined);
  if (file === undefined) return;
  try {
    if ((await file.stat()).size > logBytes) await file.truncate(0);
  } finally {
    await file.close();
  }
}

export function notInstalled(program: string): string {
  return `${program} is not installed: apt-get install ${packages[program] ?? program}`;
}
