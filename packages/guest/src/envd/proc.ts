import { readFile, readdir } from 'node:fs/promises';
import { uptime } from 'node:os';
import type { ProcessEntry } from '@citb/api';
import type { Users } from './users.ts';

/** Processes in one listing; a guest that forks without end has more. */
const maxProcesses = 4096;
/** Read at once. */
const batch = 64;
/** Linux counts a process's time in units of 1/100 s on every architecture that we run on (USER_HZ). */
const ticksPerSecond = 100;
const pageBytes = 4096;
const commandLength = 4096;

/** Every process of this machine, by pid. Those that end while they are read are left out. */
export async function listProcesses(users: Users): Promise<ProcessEntry[]> {
  const { users: names } = await users.names();
  const pids = (await readdir('/proc'))
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((a, b) => a - b);
  const found: ProcessEntry[] = [];
  for (let from = 0; from < Math.min(pids.length, maxProcesses); from += batch) {
    const some = await Promise.all(pids.slice(from, from + batch).map((pid) => readProcess(pid, names).catch(() => undefined)));
    found.push(...some.filter((each) => each !== undefined).filter((each) => !isKernelThread(each)));
  }
  return found;
}

/** Threads of the kernel are no processes of the box: kthreadd is always 2, all others are its children. */
function isKernelThread({ pid, ppid }: ProcessEntry): boolean {
  return pid === 2 || ppid === 2;
}

async function readProcess(pid: number, names: ReadonlyMap<number, string>): Promise<ProcessEntry> {
  const [stat, status, commandLine] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
    readFile(`/proc/${pid}/cmdline`, 'utf8'),
  ]);
  // proc_pid_stat(5). The name, in parentheses, can hold anything; fields are counted from the last one on, state being the third.
  const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3] ?? 0);
  const age = Math.max(uptime() - field(22) / ticksPerSecond, 0.01);
  const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  const command = commandLine.replaceAll('\0', ' ').trim();
  return {
    pid,
    ppid: field(4),
    user: names.get(uid) ?? String(uid),
    cpu_percent: Math.round(((field(14) + field(15)) / ticksPerSecond / age) * 1000) / 10,
    memory_bytes: Math.max(field(24), 0) * pageBytes,
    state: fields[0] ?? '?',
    started: new Date(Date.now() - age * 1000).toISOString(),
    command: (command === '' ? `[${name}]` : command).slice(0, commandLength),
  };
}
