import { createHash, randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';

const letters = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Random lower-case letters and digits: 5.17 bits each. */
function random(length: number): string {
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join('');
}

/** A new box id: 62 bits of chance, 16 characters. */
export function newBoxId(): string {
  return `box_${random(12)}`;
}

/** A new run id: one incarnation of a box's machine. */
export function newRunId(): string {
  return `run_${random(16)}`;
}

/** A new access token for envd: 256 bits. */
export function newAccessToken(): string {
  return randomBytes(32).toString('hex');
}

/** Longest folder name of a box: sockets inside must stay below the 107 bytes of a unix address. */
export const folderNameLength = 16;

/**
 * Name of a box's folder: its id, or for a long id its beginning and a hash. The dot keeps the two apart: no id has one.
 */
export function folderName(boxId: string): string {
  if (boxId.length <= folderNameLength) return boxId;
  return `${boxId.slice(0, 3)}.${createHash('sha256').update(boxId).digest('hex').slice(0, 12)}`;
}

/** The folder that holds the folders of all boxes. */
export function boxesFolder(dataDir: string): string {
  return join(dataDir, 'boxes');
}

/** Where a box has its disk, its sockets and its memory. */
export function boxPaths(dataDir: string, boxId: string): { folder: string; disk: string; brokerSocket: string } {
  const folder = join(boxesFolder(dataDir), folderName(boxId));
  return { folder, disk: join(folder, 'disk.img'), brokerSocket: join(folder, 'broker.sock') };
}

/** The guest's machine-id: the same for every run of a box, another for every box. */
export function machineId(boxId: string): string {
  return createHash('sha256').update(`claude-in-the-box machine-id ${boxId}`).digest('hex').slice(0, 32);
}
