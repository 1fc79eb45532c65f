import { readFileSync, realpathSync } from 'node:fs';
import { VmmError } from '../../vmm-error.ts';

/** A part of the guest's memory in QEMU's address space. All in bytes. */
export interface Mapping {
  /** Where it begins in QEMU's address space. */
  readonly address: number;
  /** Where it begins in the file that it is mapped from, which is where it begins in the guest's memory. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Where QEMU has the guest's memory, by proc_pid_maps(5).
 * @param path of the file that it is mapped from
 * @throws VmmError when it is not mapped, or not privately: what the guest writes would then go into the file, which other guests have too
 */
export function memoryMappings(pid: number, path: string): Mapping[] {
  // The kernel names files by their real paths; a folder on the way may be a link.
  const real = realpathSync(path);
  const lines = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
  const found = lines.flatMap((line) => {
    const match = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+\s+(.*)$/.exec(line);
    if (match === null || match[5] !== real) return [];
    const [, from = '', to = '', rights = '', offset = ''] = match;
    if (rights[3] !== 'p') throw new VmmError(`process ${pid} shares its guest's memory`);
    const address = Number.parseInt(from, 16);
    return [{ address, offset: Number.parseInt(offset, 16), length: Number.parseInt(to, 16) - address }];
  });
  if (found.length === 0) throw new VmmError(`process ${pid} holds no guest memory`);
  return found;
}
