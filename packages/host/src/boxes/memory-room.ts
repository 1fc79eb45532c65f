import { NoMemory } from './admission.ts';
import type { BoxParts } from './parts.ts';

/**
 * Does something that takes memory for a machine. When the host has none left, boxes that rest are put to sleep for it, before their idle
 * time is over, the one that has rested longest first: a box that nobody uses never stands in the way of one that somebody does.
 * @throws what `reserve` does; host_full when sleepers, too, would not make enough room
 */
export async function withMemory<T>({ restingBoxes }: Pick<BoxParts, 'restingBoxes'>, reserve: () => T): Promise<T> {
  for (;;) {
    try {
      return reserve();
    } catch (error) {
      if (!(error instanceof NoMemory) || !(await restingBoxes.pauseOne(error.missingMib))) throw error;
    }
  }
}
