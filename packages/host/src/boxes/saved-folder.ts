import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { boxPaths } from './names.ts';
import type { BoxParts } from './parts.ts';

/** Where a paused box keeps its machine. */
export function pauseFolder({ settings }: Pick<BoxParts, 'settings'>, boxId: string): string {
  return join(boxPaths(settings.dataDir, boxId).folder, 'pause');
}

/** Removes what was saved of a machine that runs again or is not to run again: as much disk as it had memory in use. */
export async function forgetSaved(parts: Pick<BoxParts, 'settings'>, boxId: string): Promise<void> {
  await rm(pauseFolder(parts, boxId), { recursive: true, force: true });
}
