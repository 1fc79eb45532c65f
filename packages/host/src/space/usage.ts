import type { BoxSpace, BoxUsage, UsageReport } from '@citb/api';
import { boxPaths } from '../boxes/names.ts';
import type { BoxRow } from '../boxes/rows.ts';
import { pauseFolder } from '../boxes/saved-folder.ts';
import type { CheckpointParts } from '../checkpoints/parts.ts';
import { checkpointsFolder } from '../checkpoints/paths.ts';
import { takenBelow, takenBytes } from './sizes.ts';

/** What boxes really take on the host's disk: disks are sparse, and checkpoints may share files. */
export async function usageReport(parts: CheckpointParts, userId: string | undefined): Promise<UsageReport> {
  const rows = parts.boxes.rows.all().filter((row) => userId === undefined || row.userId === userId);
  const boxes: BoxUsage[] = [];
  // One after the other: a host with a thousand boxes has better things to do.
  for (const row of rows) boxes.push(await boxUsage(parts, row));
  return {
    boxes,
    total_bytes: boxes.reduce((sum, { total_bytes }) => sum + total_bytes, 0),
    disk_free_bytes: parts.boxes.admission.diskFreeMib * 1024 * 1024,
  };
}

export async function boxUsage(parts: Pick<CheckpointParts, 'boxes' | 'rows'>, row: BoxRow): Promise<BoxUsage> {
  return { box_id: row.id, user_id: row.userId, ...(await boxSpace(parts, row)) };
}

export async function boxSpace({ boxes, rows }: Pick<CheckpointParts, 'boxes' | 'rows'>, row: BoxRow): Promise<BoxSpace> {
  const { dataDir } = boxes.settings;
  const { folder, disk } = boxPaths(dataDir, row.id);
  const [diskBytes, saved, checkpoints, total] = await Promise.all([
    takenBytes(disk),
    takenBelow(pauseFolder(boxes, row.id)),
    takenBelow(checkpointsFolder(dataDir, row.id)),
    takenBelow(folder),
  ]);
  return {
    disk_bytes: diskBytes,
    saved_bytes: saved,
    checkpoint_bytes: checkpoints,
    checkpoints: rows.of(row.id).length,
    total_bytes: total,
  };
}
