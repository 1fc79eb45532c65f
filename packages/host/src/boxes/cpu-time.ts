import { readdirSync, readFileSync } from 'node:fs';
import type { VmRecord } from '../vmm/vmm.ts';

/** Linux counts in hundredths of a second for user space, whatever its own clock is (USER_HZ). */
const msPerTick = 10;

/** CPU time that a VMM process has used since it began, with all its threads, in ms; undefined when it is gone. */
export function cpuTime({ pid, startTime }: Pick<VmRecord, 'pid' | 'startTime'>): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // From field 3 on; field 2, the name, may itself hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[19] !== startTime) return undefined;
    return (Number(fields[11]) + Number(fields[12])) * msPerTick;
  } catch {
    return undefined;
  }
}

/**
 * CPU time that a VMM has used or stood in line for, in ms: what it would have used on a host with enough processors, where else a
 * busy host would make its machines look idle. By schedstat: nanoseconds run and nanoseconds waited of each thread. Undefined when it is gone.
 */
export function wantedTime(record: Pick<VmRecord, 'pid' | 'startTime'>): number | undefined {
  const used = cpuTime(record);
  if (used === undefined) return undefined;
  let nanoseconds = 0;
  try {
    for (const thread of readdirSync(`/proc/${record.pid}/task`)) {
      const [run = 0, waited = 0] = readFileSync(`/proc/${record.pid}/task/${thread}/schedstat`, 'utf8').split(' ').map(Number);
      nanoseconds += run + waited;
    }
  } catch {
    // A thread or the process has ended meanwhile, or the kernel keeps no such figures.
    return used;
  }
  return Math.max(used, nanoseconds / 1e6);
}
