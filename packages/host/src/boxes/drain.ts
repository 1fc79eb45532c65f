import { once } from 'node:events';
import type { DrainReport } from '@citb/api';
import type { LiveBox } from './access.ts';
import type { Activity } from './activity.ts';
import { pauseBox } from './pause.ts';
import type { BoxParts } from './parts.ts';

/** Saved at once: more would only share the same disk, and nobody's box would be done sooner. */
const atOnce = 4;

/**
 * Saves running boxes before the machine goes down, the one used last first. What is not done at the deadline is left as it is: the
 * next daemon completes it, or boots the box from its disk.
 */
export async function drainBoxes(parts: BoxParts, activity: Activity, deadline: AbortSignal): Promise<DrainReport> {
  const boxes = parts.live.all().toSorted((a, b) => activity.last(b.id) - activity.last(a.id));
  const paused: string[] = [];
  const waiting = [...boxes];
  const work = async (): Promise<void> => {
    for (let box = waiting.shift(); box !== undefined && !deadline.aborted; box = waiting.shift())
      if (await save(parts, box)) paused.push(box.id);
  };
  if (!deadline.aborted) await Promise.race([Promise.all(Array.from({ length: atOnce }, work)), once(deadline, 'abort')]);
  const done = [...paused];
  return { paused: done, left: boxes.map(({ id }) => id).filter((id) => !done.includes(id)) };
}

async function save(parts: BoxParts, { id }: LiveBox): Promise<boolean> {
  try {
    await parts.writers.run(id, () => pauseBox(parts, id, { why: 'drain' }));
    return true;
  } catch (error) {
    parts.log.warn({ err: error, box: id }, 'a box could not be saved before the machine goes down');
    return false;
  }
}
