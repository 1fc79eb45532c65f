import { readFileSync } from 'node:fs';

/**
 * A random UUID of the kernel's. A process must not draw ids from its own generator: the memory of a cloned machine has its state,
 * and all clones would draw the same. The kernel's is seeded anew by the first call that a clone gets.
 */
export function freshUuid(): string {
  return readFileSync('/proc/sys/kernel/random/uuid', 'latin1').trim();
}
