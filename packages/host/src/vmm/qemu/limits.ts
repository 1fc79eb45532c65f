import type { CgroupLimits } from '../cgroup.ts';
import type { Machine } from '../vmm.ts';
import { translationCacheMib } from './translation-cache.ts';
import type { Accelerator } from './x86-64.ts';

/** QEMU itself beside the guest's memory and translated code, in MiB: measured 68 of its own and 24 of program files, more than doubled. */
const ownMemoryMib = 256;
/** QEMU's own thread beside the CPUs'. */
const ownCpus = 0.5;
/** Up to 64 of QEMU's threads for disks, and one process for each connection to the broker. */
const ownProcesses = 256;

/**
 * The limits of one VM's cgroup. The disks' page cache counts as well, but the kernel gives that back under pressure;
 * what the guest has written of its memory it cannot (no swap).
 */
export function machineLimits(machine: Machine, accelerator: Accelerator): CgroupLimits {
  return {
    memoryBytes: (machine.memoryMib + ownMemoryMib + translationCacheMib(machine.memoryMib, accelerator)) * 1024 * 1024,
    cpus: machine.cpus + ownCpus,
    processes: machine.cpus + ownProcesses,
  };
}
