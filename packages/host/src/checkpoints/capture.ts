import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ApiError } from '@citb/api';
import { boxPaths } from '../boxes/names.ts';
import { pauseFolder } from '../boxes/saved-folder.ts';
import { loadSaved, saveMachine } from '../boxes/saved-machine.ts';
import { run } from '../disks/run.ts';
import type { CheckpointParts } from './parts.ts';
import { checkRoom, takenBytes } from '../space/sizes.ts';
import { flushGuest, whileStanding } from './standstill.ts';

/** Where a box's state goes. */
export interface CaptureTarget {
  readonly disk: string;
  /** Undefined: the disk alone. */
  readonly machine?: string | undefined;
  /** Called while the CPUs stand: has the disk from elsewhere, or says no and it is copied. */
  readonly linkDisk?: ((source: string) => Promise<boolean>) | undefined;
}

/** What was captured. */
export interface Captured {
  /** With the machine's memory; the token it knows is the box's. */
  readonly memory: boolean;
  readonly diskStamp: string;
  /** How long the CPUs stood, ms; 0 for a box that does not run. */
  readonly stoodMs: number;
}

/**
 * A box's disk, and with it its machine, as of one moment. What runs goes on afterwards; what is paused or stopped stays so. For
 * the box's writer only.
 * @throws box_not_found, box_killed, host_disk_full, and what VMM and disks say; half-written targets are the caller's to remove
 */
export async function captureBox(parts: CheckpointParts, boxId: string, target: CaptureTarget, signal: AbortSignal): Promise<Captured> {
  const { rows, live, disks, settings, admission } = parts.boxes;
  const row = rows.get(boxId);
  if (row === undefined) throw new ApiError('box_not_found');
  if (row.intent === 'kill') throw new ApiError('box_killed');
  const paths = boxPaths(settings.dataDir, boxId);
  const diskBytes = await takenBytes(paths.disk);
  await mkdir(dirname(target.disk), { recursive: true, mode: 0o700 });

  const takeDisk = async (): Promise<string> => {
    const stamp = await diskStamp(paths.disk);
    if ((await target.linkDisk?.(paths.disk)) !== true) await disks.copy(paths.disk, target.disk, signal);
    return stamp;
  };

  const box = live.get(boxId);
  if (box === undefined) {
    checkRoom(admission, diskBytes);
    const stamp = await takeDisk();
    const memory = row.saved && target.machine !== undefined && (await copySaved(pauseFolder(parts.boxes, boxId), target.machine));
    return { memory, diskStamp: stamp, stoodMs: 0 };
  }
  const { machine } = target;
  checkRoom(admission, diskBytes + (machine === undefined ? 0 : row.memoryMib * 1024 * 1024));
  await flushGuest(parts, box, signal);
  const began = performance.now();
  const stamp = await whileStanding(parts, box, async () => {
    if (machine !== undefined) await saveMachine(parts.boxes, box, machine);
    return await takeDisk();
  });
  return { memory: machine !== undefined, diskStamp: stamp, stoodMs: Math.round(performance.now() - began) };
}

/**
 * A saved machine under another name, as it lies on the disk: its files never change once they are written, so they are shared.
 * False when there is none that is whole: the box would boot, too.
 */
export async function copySaved(from: string, to: string): Promise<boolean> {
  if (loadSaved(from, undefined) === undefined) return false;
  await rm(to, { recursive: true, force: true });
  await run('cp', ['--recursive', '--link', '--no-target-directory', '--', from, to]);
  return loadSaved(to, undefined) !== undefined;
}

/** Changes with every write to the disk: see {@link unchangedSince}. */
async function diskStamp(disk: string): Promise<string> {
  const { ino, mtimeNs, blocks } = await stat(disk, { bigint: true });
  return `${ino}:${mtimeNs}:${blocks}`;
}

/** File times move in steps of some ms: a write that came right after the stamp may have the same time. ms. */
const settledMs = 2000;

/**
 * True when nothing was written to a disk since it had the stamp.
 * @param at when the stamp was taken, ms since 1970
 */
export async function unchangedSince(disk: string, stamp: string, at: number): Promise<boolean> {
  const written = Number(BigInt(stamp.split(':')[1] ?? '0') / 1_000_000n);
  return at - written > settledMs && (await diskStamp(disk)) === stamp;
}
