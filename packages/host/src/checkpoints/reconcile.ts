import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { discard } from './make.ts';
import type { CheckpointParts } from './parts.ts';
import { checkpointsFolder, forkFolder, rolledBackDisk } from './paths.ts';
import { replaceState } from './rollback.ts';

/**
 * Puts right what a crash left of checkpoints: a rollback that had begun is completed (the box then boots from the checkpoint's
 * disk), what was half made or half removed goes. It is done when it is its turn in the box's writer: a box whose task goes on as
 * soon as it is found is at work already, and a rollback that came later would take what was acknowledged meanwhile. Call it when the
 * boxes are reconciled, before the first request, and with every maintenance.
 */
export async function reconcileCheckpoints(parts: CheckpointParts): Promise<void> {
  const { boxes, rows, access } = parts;
  const { writers, settings, log } = boxes;
  const settle = async (boxId: string, work: () => Promise<void>): Promise<void> => {
    try {
      await writers.run(boxId, work);
    } catch (error) {
      log.error({ err: error, box: boxId }, 'a checkpoint could not be put right; it is tried again');
    }
  };
  for (const { boxId, checkpoint } of rows.rollbacks())
    await settle(boxId, async () => {
      if (!rows.rollbacks().some((row) => row.boxId === boxId)) return;
      await replaceState(parts, boxId);
      boxes.events.add(boxId, 'rolled_back', { checkpoint });
      access.note(boxId, 'a rollback that was interrupted is complete; the box boots on the next request');
    });
  for (const { boxId, id } of rows.unsettled())
    await settle(boxId, async () => {
      if (rows.unsettled().some((row) => row.id === id)) await discard(parts, boxId, id);
    });
  for (const { id: boxId } of boxes.rows.all())
    if (!writers.busy(boxId)) await settle(boxId, () => removeStrays(parts, boxId, settings.dataDir));
}

/** Files that no row knows: a disk that was copied for a rollback that never began, what a fork began as, folders of checkpoints without one. */
async function removeStrays({ rows }: CheckpointParts, boxId: string, dataDir: string): Promise<void> {
  const beside = rolledBackDisk(dataDir, boxId);
  for (const path of [beside, `${beside}.new`, forkFolder(dataDir, boxId)]) await rm(path, { recursive: true, force: true });
  const folder = checkpointsFolder(dataDir, boxId);
  const known = new Set(rows.of(boxId).map((row) => row.id));
  for (const name of await readdir(folder).catch(() => []))
    if (!known.has(name)) await rm(join(folder, name), { recursive: true, force: true });
}
