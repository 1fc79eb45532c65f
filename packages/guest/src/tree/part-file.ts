import { rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { freshUuid } from '../fresh-uuid.ts';
import type { TreeEntry } from './entry.ts';
import { at } from './place.ts';

/** Files under such a name are being written; a machine that is cut off leaves one behind. Nobody else names a file like this. */
const pattern = /^\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.citb-part$/;

const started = Date.now() - performance.now();

/** A name for a file that is not complete. */
export function newPartName(): string {
  return `.${freshUuid()}.citb-part`;
}

/** True for a file that is not complete: nobody is shown it. */
export function isPart(name: string | Buffer): boolean {
  return pattern.test(name.toString());
}

/** Removes a part that was being written when this process began, so that nobody writes it any more. */
export async function removeIfLeft(folder: FileHandle, name: Buffer, { stats }: TreeEntry): Promise<void> {
  if (stats.isFile() && stats.mtimeMs < started) await rm(at(folder, name), { force: true }).catch(() => undefined);
}
