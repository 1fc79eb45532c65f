import { rename, rm } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import { startMachine } from '../boxes/machine.ts';
import { boxPaths } from '../boxes/names.ts';
import { reapRun } from '../boxes/reap-run.ts';
import { forgetSaved } from '../boxes/saved-folder.ts';
import { loadSaved } from '../boxes/saved-machine.ts';
import { startBox } from '../boxes/start.ts';
import { exists } from '../disks/exists.ts';
import type { CheckpointParts } from './parts.ts';
import { failure } from './make.ts';
import { checkpointFiles, rolledBackDisk } from './paths.ts';
import type { CheckpointRow } from './rows.ts';
import { checkRoom, takenBytes } from '../space/sizes.ts';

/**
 * Brings a box back to a checkpoint; resolves when it answers. Until the row of the rollback is written a crash leaves everything
 * as it was; from then on the reconciler goes through with it, and the box boots from the checkpoint's disk.
 * @throws box_not_found, checkpoint_not_found, host_full, host_disk_full, box_failed
 */
export async function rollBack(parts: CheckpointParts, boxId: string, checkpointId: string): Promise<void> {
  const { boxes, rows, access } = parts;
  await boxes.writers.run(boxId, async (signal) => {
    const checkpoint = rows.get(boxId, checkpointId);
    if (checkpoint === undefined) throw new ApiError('checkpoint_not_found');
    await prepareDisk(parts, checkpoint, signal);
    rows.beginRollback(boxId, checkpointId);
    try {
      await replaceState(parts, boxId);
    } catch (error) {
      // Not later, when nobody expects it any more: the box keeps the disk it has.
      await rm(rolledBackDisk(boxes.settings.dataDir, boxId), { force: true });
      rows.endRollback(boxId);
      throw failure(error, signal);
    }
    boxes.events.add(boxId, 'rolled_back', { checkpoint: checkpointId, name: checkpoint.name });
    access.note(boxId, `rolled back to checkpoint ${checkpointId}${checkpoint.name === null ? '' : ` (${checkpoint.name})`}`);
    await start(parts, checkpoint, signal);
  });
}

/** The checkpoint's disk beside the present one, which still is in use. */
async function prepareDisk({ boxes }: CheckpointParts, { boxId, id }: CheckpointRow, signal: AbortSignal): Promise<void> {
  const { dataDir } = boxes.settings;
  const { disk } = checkpointFiles(dataDir, boxId, id);
  const beside = rolledBackDisk(dataDir, boxId);
  checkRoom(boxes.admission, await takenBytes(disk));
  await rm(beside, { force: true });
  try {
    await boxes.disks.copy(disk, beside, signal);
  } catch (error) {
    throw failure(error, signal);
  }
}

/**
 * Gives up the box's present state for the disk that lies beside it. Each step may be done again: that is how the reconciler
 * completes it.
 */
export async function replaceState({ boxes, rows, tasks }: CheckpointParts, boxId: string): Promise<void> {
  const { live, broker, admission, logs, settings } = boxes;
  const { disk } = boxPaths(settings.dataDir, boxId);
  const box = live.get(boxId);
  const row = boxes.rows.get(boxId);
  if (row === undefined) return;
  // From here on the end of the machine is expected.
  if (box !== undefined) live.take(box);
  if (box !== undefined) await box.vm.kill();
  else await reapRun(boxes, row);
  logs.detach(boxId);
  await broker.close(boxId);
  admission.release(boxId);
  const state = boxes.rows.get(boxId)?.state;
  if (state === 'running' || state === 'paused') boxes.rows.move(boxId, 'stopped', 'rollback');
  if (box !== undefined) live.lost(box);
  tasks.rolledBack(boxId);
  // Its memory belongs to the disk that goes now.
  await forgetSaved(boxes, boxId);
  const beside = rolledBackDisk(settings.dataDir, boxId);
  // Not there: the rename was the last thing before the crash.
  if (await exists(beside)) await rename(beside, disk);
  rows.endRollback(boxId);
}

/** With the memory of the checkpoint if it has one; what cannot be brought back boots from the same disk. */
async function start({ boxes }: CheckpointParts, { boxId, id, memory }: CheckpointRow, signal: AbortSignal): Promise<void> {
  const { rows, settings, logs, log } = boxes;
  const row = rows.get(boxId);
  const { machine } = checkpointFiles(settings.dataDir, boxId, id);
  const saved = memory ? loadSaved(machine, rows.secrets(boxId).accessToken) : undefined;
  if (row !== undefined && saved !== undefined) {
    rows.intend(boxId, 'start');
    try {
      await startMachine(boxes, row, { ...saved, how: 'restore' }, signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      rows.forgetIntent(boxId);
      log.warn({ err: error, box: boxId, checkpoint: id }, 'the memory of a checkpoint could not be brought back');
      logs.note(boxId, `the memory of the checkpoint could not be brought back, the box boots from its disk: ${(error as Error).message}`);
    }
  }
  await startBox(boxes, boxId, signal);
}
