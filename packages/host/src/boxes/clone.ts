import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import type { LiveBox } from './access.ts';
import { startMachine } from './machine.ts';
import { boxesFolder, boxPaths } from './names.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';

/**
 * A new box as a clone of its runtime's template. Undefined when there is none, which is then made for the next one, or when the
 * clone did not come up: the box boots instead.
 * @throws the refusals of admission; the signal's reason
 */
export async function cloneBox(parts: BoxParts, row: BoxRow, signal: AbortSignal): Promise<LiveBox | undefined> {
  const { templates, settings, logs } = parts;
  const template = templates.find(row.imageKey, row);
  if (template === undefined) {
    templates.want(row);
    return undefined;
  }
  const { folder, disk } = boxPaths(settings.dataDir, row.id);
  try {
    mkdirSync(boxesFolder(settings.dataDir), { recursive: true, mode: 0o711 });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    await templates.takeDisk(template, disk, signal);
    const box = await startMachine(parts, row, { ...template.machine, how: 'template' }, signal);
    templates.cloned(template);
    return box;
  } catch (error) {
    if (signal.aborted || (error instanceof ApiError && error.code !== 'box_unreachable')) throw error;
    const reason = (error as Error).message;
    templates.spoil(template, reason);
    logs.note(row.id, `could not be cloned from the template, it boots instead: ${reason}`);
    await rm(disk, { force: true });
    return undefined;
  }
}
