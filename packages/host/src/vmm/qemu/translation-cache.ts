import type { Accelerator } from './x86-64.ts';

/**
 * Room for translated code of an emulated machine, MiB: half of its memory, 64 to 512; nothing with KVM. Too small a cache is thrown
 * away and made again all the time: docs/decisions/002-translation-cache.md has the times.
 */
export function translationCacheMib(memoryMib: number, accelerator: Accelerator): number {
  return accelerator === 'kvm' ? 0 : Math.min(512, Math.max(64, Math.ceil(memoryMib / 2)));
}
