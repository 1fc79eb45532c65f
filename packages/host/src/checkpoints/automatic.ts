import { ApiError } from '@citb/api';
import type { LiveBox } from '../boxes/access.ts';
import { boxPaths } from '../boxes/names.ts';
import { discard, makeCheckpoint } from './make.ts';
import type { CheckpointParts } from './parts.ts';
import type { CheckpointRow } from './rows.ts';
import { takenBytes } from '../space/sizes.ts';

/**
 * The checkpoint before a task: of the disk, so that a person can undo what an agent did. It never stands in a task's way: what is
 * too large, or does not work, is said in the box's log.
 * @throws host_stopping alone: then the task waits for the next daemon, too
 */
export async function checkpointBeforeTask(parts: CheckpointParts, box: LiveBox, taskId: string): Promise<void> {
  const { settings, access } = parts;
  if (settings.automatic === 0) return;
  try {
    const tooLarge = await isTooLarge(parts, box.id);
    if (tooLarge !== undefined) return access.note(box.id, `no checkpoint before task ${taskId}: ${tooLarge}`);
    await makeCheckpoint(parts, { boxId: box.id, name: null, kind: 'auto', taskId, memory: false });
    await expireOldest(parts, box.id, 'auto', settings.automatic);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'host_stopping') throw error;
    access.note(box.id, `no checkpoint before task ${taskId}: ${(error as Error).message}`);
  }
}

async function isTooLarge({ boxes, settings }: CheckpointParts, boxId: string): Promise<string | undefined> {
  const taken = await takenBytes(boxPaths(boxes.settings.dataDir, boxId).disk);
  if (taken <= settings.automaticBytes) return undefined;
  const [has, most] = [taken, settings.automaticBytes].map((bytes) => Math.ceil(bytes / 1024 / 1024));
  return `its disk takes ${has} MiB, and at most ${most} MiB are copied before a task (CITB_AUTO_CHECKPOINT_MIB)`;
}

/**
 * Keeps the last checkpoints of a kind that nobody but the box itself asked for, and of them only what together takes no more than
 * the box was given as its disk: a guest must not fill the host by filling its disk again and again. The last one always stays.
 */
export async function expireOldest(
  parts: CheckpointParts,
  boxId: string,
  kind: Exclude<CheckpointRow['kind'], 'manual'>,
  kept: number,
): Promise<void> {
  let room = (parts.boxes.rows.get(boxId)?.diskMib ?? 0) * 1024 * 1024;
  const newestFirst = parts.rows
    .of(boxId)
    .filter((row) => row.kind === kind)
    .toReversed();
  for (const [index, { id, sizeBytes }] of newestFirst.entries()) {
    room -= sizeBytes;
    if (index > 0 && (index >= kept || room < 0)) await removeCheckpoint(parts, boxId, id);
  }
}

/** In the box's writer: nobody copies from it meanwhile. */
export async function removeCheckpoint(parts: CheckpointParts, boxId: string, id: string): Promise<void> {
  await parts.boxes.writers.run(boxId, async () => {
    if (parts.rows.get(boxId, id) !== undefined) await discard(parts, boxId, id);
  });
}
