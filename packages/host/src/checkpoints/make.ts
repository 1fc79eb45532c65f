import { link, mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ApiError } from '@citb/api';
import { syncPath } from '../sync.ts';
import type { Captured } from './capture.ts';
import { captureBox, unchangedSince } from './capture.ts';
import type { CheckpointParts } from './parts.ts';
import { checkpointFiles, newId, unfinishedFiles } from './paths.ts';
import type { CheckpointRow, NewCheckpoint } from './rows.ts';
import { takenBelow } from '../space/sizes.ts';

/** What to make. */
export type CheckpointWish = Omit<NewCheckpoint, 'id'> & {
  /** With the machine's memory, if it runs or is paused. */
  readonly memory: boolean;
};

/**
 * Makes a checkpoint in the box's writer. Its row comes first and its files appear under their name when they are complete, so
 * that what a crash leaves is known, and removed.
 * @throws box_not_found, box_killed, host_disk_full, checkpoint_failed
 */
export async function makeCheckpoint(parts: CheckpointParts, wish: CheckpointWish): Promise<CheckpointRow> {
  const { boxes, rows, access } = parts;
  await reachable(parts, wish.boxId);
  let made: CheckpointRow | undefined;
  let stoodMs = 0;
  await boxes.writers.run(wish.boxId, async (signal) => {
    const id = newId('ckp');
    rows.begin({ id, boxId: wish.boxId, name: wish.name, kind: wish.kind, taskId: wish.taskId });
    try {
      stoodMs = await writeFiles(parts, id, wish, signal);
    } catch (error) {
      await discard(parts, wish.boxId, id);
      throw failure(error, signal);
    }
    made = rows.get(wish.boxId, id);
  });
  if (made === undefined) throw new ApiError('box_killed');
  const { name, kind, taskId } = made;
  boxes.events.add(made.boxId, 'checkpoint', { id: made.id, kind, name, task_id: taskId, stood_ms: stoodMs });
  if (kind !== 'auto') access.note(made.boxId, `checkpoint ${made.id} made${name === null ? '' : `: ${name}`}`);
  return made;
}

/** A box that runs in an earlier daemon's eyes is found first: its memory can be had only through its machine. */
export async function reachable({ boxes, access }: CheckpointParts, boxId: string): Promise<void> {
  const row = boxes.rows.get(boxId);
  if (row === undefined) throw new ApiError('box_not_found');
  if (row.state === 'creating' || (row.state === 'running' && boxes.live.get(boxId) === undefined)) await access.awake(boxId);
}

/** @returns how long the CPUs stood, ms */
async function writeFiles(parts: CheckpointParts, id: string, wish: CheckpointWish, signal: AbortSignal): Promise<number> {
  const { rows, boxes } = parts;
  const { dataDir } = boxes.settings;
  const unfinished = unfinishedFiles(dataDir, wish.boxId, id);
  const files = checkpointFiles(dataDir, wish.boxId, id);
  await mkdir(unfinished.folder, { recursive: true, mode: 0o700 });
  const captured: Captured = await captureBox(
    parts,
    wish.boxId,
    {
      disk: unfinished.disk,
      machine: wish.memory ? unfinished.machine : undefined,
      linkDisk: (source) => shareDisk(parts, wish.boxId, source, unfinished.disk),
    },
    signal,
  );
  await rename(unfinished.folder, files.folder);
  await syncPath(dirname(files.folder));
  rows.ready(id, { ...captured, sizeBytes: await takenBelow(files.folder) });
  return captured.stoodMs;
}

/** Nothing was written since the last checkpoint: its disk gets a second name. No checkpoint's disk is ever written to. */
async function shareDisk({ rows, boxes }: CheckpointParts, boxId: string, source: string, path: string): Promise<boolean> {
  const last = rows.of(boxId).at(-1);
  if (last?.diskStamp == null || !(await unchangedSince(source, last.diskStamp, last.created))) return false;
  try {
    await link(checkpointFiles(boxes.settings.dataDir, boxId, last.id).disk, path);
    return true;
  } catch {
    return false;
  }
}

/** Removes a checkpoint's files, then its row: after a crash in between it is done again. */
export async function discard({ rows, boxes }: CheckpointParts, boxId: string, id: string): Promise<void> {
  const { dataDir } = boxes.settings;
  rows.deleting(id);
  for (const files of [unfinishedFiles(dataDir, boxId, id), checkpointFiles(dataDir, boxId, id)])
    await rm(files.folder, { recursive: true, force: true });
  rows.remove(id);
}

/** What a caller is told when it did not work out. */
export function failure(error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof ApiError || signal?.aborted === true) return error;
  const full = (error as NodeJS.ErrnoException).code === 'ENOSPC' || /no space left/i.test((error as Error).message);
  if (full) return new ApiError('host_disk_full', undefined, { cause: error });
  return new ApiError('checkpoint_failed', `The state of the box could not be copied: ${(error as Error).message}`, { cause: error });
}
