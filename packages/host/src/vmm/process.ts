import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { VmmError } from './vmm-error.ts';

/** One process and no other: pids are used again, start times of the same boot are not. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
}

/** Who a pid is now; undefined when it is gone or only waits to be reaped by its parent (a zombie runs no more). */
export function identify(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid);
  const state = fields?.[0];
  const startTime = fields?.[19];
  if (state === undefined || startTime === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTime, bootId: bootId() };
}

export function isAlive(process: ProcessIdentity): boolean {
  const now = identify(process.pid);
  return now !== undefined && now.startTime === process.startTime && now.bootId === process.bootId;
}

/** True while all threads of the process are stopped by a signal. */
export function isStopped(process: ProcessIdentity): boolean {
  return isAlive(process) && statFields(process.pid)?.[0] === 'T';
}

/** Sends a signal, but never to a later owner of the pid. Does nothing when the process is gone. */
export function signalProcess(target: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(target)) return;
  try {
    process.kill(target.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** @throws VmmError when the process still lives after `deadlineMs` */
export async function waitGone(process: ProcessIdentity, deadlineMs: number): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (isAlive(process)) {
    if (Date.now() > end) throw new VmmError(`process ${process.pid} does not end (waiting for the kernel, for example for a disk)`);
    await delay(20);
  }
}

/** Memory that would be free without the process, in bytes: not what it maps of files, which others share. 0 when it is gone. */
export async function ownMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
  return (kib('RssAnon') + kib('RssShmem')) * 1024;
}

/** Every process of this machine that we may look at, with its arguments. */
export async function* commandLines(): AsyncGenerator<{ identity: ProcessIdentity; args: readonly string[] }> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const identity = identify(Number(name));
    const text = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    // Between the two reads the pid may have changed hands; a pair that does not belong together must not come out.
    if (identity !== undefined && text !== '' && isAlive(identity)) yield { identity, args: text.replace(/\0$/, '').split('\0') };
  }
}

/** Changes with every boot of the machine. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** From field 3 (state) on; field 2, the name, may itself hold spaces and brackets. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
