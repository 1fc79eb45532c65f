import { duration, times } from './measure.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

/** A box that boots, against the kernel and the initramfs alone. */
export async function coldBoot(run: Run): Promise<Row[]> {
  const alone = await run.alone();
  const cold = await run.cold();
  return [...cold].flatMap(([runtime, { ms, memoryMib }]) => [
    { what: `${runtime}: create, p50`, ours: duration(ms), against: `QEMU alone, ${duration(alone)}`, ratio: times(ms / alone) },
    { what: `${runtime}: memory of its VMM`, ours: `${memoryMib.toFixed(0)} MiB` },
  ]);
}
