import { readFileSync } from 'node:fs';
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
