import { ApiError } from '@citb/api';
import type { LiveBox } from '../boxes/access.ts';
import type { CheckpointParts } from './parts.ts';

/** A guest that does not flush in time is copied as it is: as after a power cut, with what was acknowledged. ms. */
const flushMs = 10_000;
/** A clock that stood for less is left alone, ms: the guest's own tolerance. */
const clockMs = 50;

/** Puts what the guest has written on its disk before something is copied: the less there is, the shorter its CPUs stand. */
export async function flushGuest({ guest, access }: CheckpointParts, box: LiveBox, signal: AbortSignal): Promise<void> {
  try {
    await guest.flush(box, AbortSignal.any([signal, AbortSignal.timeout(flushMs)]));
  } catch (error) {
    signal.throwIfAborted();
    access.note(box.id, `the guest did not flush (${(error as Error).message}); its disk is copied as it is`);
  }
}

/**
 * Does something while the CPUs of a box stand, and lets them go on whatever becomes of it. The VMM has handed all of the guest's
 * writes to the host when they stand. For the box's writer only.
 */
export async function whileStanding<T>(parts: CheckpointParts, box: LiveBox, work: () => Promise<T>): Promise<T> {
  const stood = performance.now();
  const gone = box.vm.exited.then(() => {
    throw new ApiError('box_unreachable', 'The machine of the box ended meanwhile.');
  });
  gone.catch(() => undefined);
  await Promise.race([box.vm.pause(), gone]);
  try {
    return await work();
  } finally {
    await Promise.race([box.vm.resume(), gone]);
    if (performance.now() - stood > clockMs) void setClock(parts, box);
  }
}

/** The guest's clock stood with its CPUs. Nobody waits for it: what comes next is not held up. */
async function setClock({ guest, access, boxes }: CheckpointParts, box: LiveBox): Promise<void> {
  try {
    await guest.setClock(box, new Date(boxes.now()).toISOString());
  } catch (error) {
    access.note(box.id, `the guest's clock could not be set: ${(error as Error).message}`);
  }
}
