import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MaintenanceReport } from '@citb/api';
import { adoptBox, mayHaveMachine } from './adopt.ts';
import { boxesFolder, folderName } from './names.ts';
import type { BoxParts } from './parts.ts';
import { reapRun } from './reap-run.ts';
import { removeBox } from './remove.ts';
import type { BoxRow } from './rows.ts';
import { forgetSaved, pauseFolder } from './saved-folder.ts';

type Cleaned = MaintenanceReport extends { cleaned: infer C } ? C : never;

/**
 * Puts right what a crash left: compares rows with processes and folders. Nothing living is touched: what a box's writer is at
 * work on is skipped, and every decision is taken again, by the rows of that moment, right before the act.
 *
 * What the caller of a half-done action may find afterwards:
 * - a creation is taken back, also when it had got far: its caller has no answer, and the same request (with the same user or
 *   Idempotency-Key) simply makes the box anew; nothing could have been put into it yet;
 * - a start of a box that existed is forgotten: the box is `stopped` and starts on the next request;
 * - a pause whose machine was saved is completed, any other is taken back and the box runs on;
 * - a wake whose machine was loaded is completed, any other is taken back and the box stays `paused`;
 * - a stop and a kill are completed.
 */
export async function reconcile(parts: BoxParts): Promise<MaintenanceReport> {
  const cleaned: Cleaned = { processes: [], folders: [], rows: [], cgroups: [] };
  for (const row of parts.rows.all()) {
    try {
      if (await settleRow(parts, row)) cleaned.rows.push(row.id);
    } catch (error) {
      parts.log.error({ err: error, box: row.id }, 'a box could not be put right; it is tried again');
    }
  }
  await reapStrays(parts, cleaned);
  await removeStrayFolders(parts, cleaned);
  cleaned.cgroups.push(...(await parts.vmm.sweep()));
  parts.idempotency.prune();
  return { status: 'ok', cleaned };
}

/** True when the box's creation or removal was completed. */
async function settleRow(parts: BoxParts, row: BoxRow): Promise<boolean> {
  const { writers, live, rows } = parts;
  if (writers.busy(row.id)) return false;
  if (row.intent === 'kill' || row.state === 'creating') {
    await reapRun(parts, row);
    await writers.kill(row.id, () => removeBox(parts, row.id, row.intent === 'kill' ? 'kill' : 'undo'));
    return true;
  }
  if (mayHaveMachine(row) && live.get(row.id) === undefined)
    await writers.run(row.id, async () => {
      const now = rows.get(row.id);
      if (now !== undefined && live.get(row.id) === undefined && mayHaveMachine(now)) await adoptBox(parts, now);
    });
  else if (row.intent === 'start')
    await writers.run(row.id, async () => {
      const now = rows.get(row.id);
      if (now?.intent !== 'start') return;
      // A machine of it may be there already; one that was being loaded has not begun to run.
      await reapRun(parts, now);
      rows.forgetIntent(row.id);
    });
  else if (row.state !== 'paused' && existsSync(pauseFolder(parts, row.id)))
    await writers.run(row.id, async () => {
      if (rows.get(row.id)?.state !== 'paused') await forgetSaved(parts, row.id);
    });
  return false;
}

/** Ends machines that belong to no box, or to an incarnation that its box has left behind. */
async function reapStrays(parts: BoxParts, cleaned: Cleaned): Promise<void> {
  const { vmm, rows, writers, live, templates, settings, log } = parts;
  for (const record of await vmm.list(settings.dataDir)) {
    // The run is in the row before its process exists, so one that is listed and in no row is nobody's.
    const row = rows.byRun(record.runId);
    if (templates.isBuilding(record.runId)) continue;
    if (row !== undefined && (writers.busy(row.id) || live.get(row.id)?.runId === record.runId)) continue;
    // Alive, but it could not be reached this time.
    if (row !== undefined && mayHaveMachine(row)) continue;
    log.warn({ record, box: row?.id }, 'ending a machine that belongs to no box');
    await vmm.reap(record);
    cleaned.processes.push(record.pid);
  }
}

/** Removes folders that belong to no box; renamed first, in the same turn as the look at the rows, so that a box made just now is safe. */
async function removeStrayFolders({ rows, settings }: BoxParts, cleaned: Cleaned): Promise<void> {
  const folder = boxesFolder(settings.dataDir);
  const trash = join(settings.dataDir, 'trash');
  await mkdir(folder, { recursive: true, mode: 0o711 });
  for (const name of await readdir(folder)) {
    if (rows.all().some((row) => folderName(row.id) === name)) continue;
    mkdirSync(trash, { recursive: true });
    renameSync(join(folder, name), join(trash, `${name}.${process.hrtime.bigint()}`));
    cleaned.folders.push(join(folder, name));
  }
  await rm(trash, { recursive: true, force: true });
}
