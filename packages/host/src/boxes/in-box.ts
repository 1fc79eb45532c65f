import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '@citb/api';
import type { BoxAccess, LiveBox } from './access.ts';

/** The end of a killed VMM is seen within milliseconds, that of an adopted one by looking every 200 ms. */
const noticeMs = 2000;

/**
 * Does something in a box that may be done again: when its machine turns out to be gone, which nobody had noticed yet, it is done
 * once more in the next incarnation.
 * @throws what `work` throws, and what waking the box does
 */
export async function inBox<T>(access: BoxAccess, boxId: string, work: (box: LiveBox) => Promise<T>): Promise<T> {
  const box = await access.awake(boxId);
  try {
    return await work(box);
  } catch (error) {
    const unreachable = error instanceof ApiError && error.code === 'box_unreachable';
    if (!unreachable || !(await isGone(access, box))) throw error;
  }
  return await work(await access.awake(boxId));
}

/** True when this incarnation is over: at once, or within the time in which its end is noticed. */
async function isGone(access: BoxAccess, box: LiveBox): Promise<boolean> {
  const stop = new AbortController();
  const patience = delay(noticeMs, false, { signal: stop.signal }).catch(() => false);
  const ended = await Promise.race([box.vm.exited.then(() => true), patience]);
  stop.abort();
  if (!ended) return false;
  for (let tries = 0; access.ifRunning(box.id)?.runId === box.runId; tries++) {
    if (tries === 100) return false;
    await delay(10);
  }
  return true;
}
