import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { boxPaths } from '../boxes/names.ts';

const letters = '0123456789abcdefghijklmnopqrstuvwxyz';

/** An id with 62 bits of chance: `ckp_…`, `exp_…`, `imp_…`. */
export function newId(prefix: 'ckp' | 'exp' | 'imp'): string {
  return `${prefix}_${Array.from({ length: 12 }, () => letters[randomInt(letters.length)]).join('')}`;
}

/** What a checkpoint's folder holds: it appears whole under this name or not at all. */
export interface CheckpointFiles {
  readonly folder: string;
  readonly disk: string;
  /** The saved machine, where there is one. */
  readonly machine: string;
}

export function checkpointFiles(dataDir: string, boxId: string, id: string): CheckpointFiles {
  return filesIn(join(checkpointsFolder(dataDir, boxId), id));
}

/** Where it is made. */
export function unfinishedFiles(dataDir: string, boxId: string, id: string): CheckpointFiles {
  return filesIn(join(checkpointsFolder(dataDir, boxId), `${id}.new`));
}

export function checkpointsFolder(dataDir: string, boxId: string): string {
  return join(boxPaths(dataDir, boxId).folder, 'checkpoints');
}

/** The disk that a rollback puts in the place of the present one. */
export function rolledBackDisk(dataDir: string, boxId: string): string {
  return `${boxPaths(dataDir, boxId).disk}.back`;
}

/** The machine that a fork begins as, until it runs. */
export function forkFolder(dataDir: string, boxId: string): string {
  return join(boxPaths(dataDir, boxId).folder, 'fork');
}

function filesIn(folder: string): CheckpointFiles {
  return { folder, disk: join(folder, 'disk.img'), machine: join(folder, 'machine') };
}
