import { existsSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { SavedMachine } from '../boxes/machine.ts';
import { loadSaved } from '../boxes/saved-machine.ts';
import type { VmmReport } from '../vmm/vmm.ts';

/** What boxes must have in common to be cloned from the same template: what a running machine cannot change. */
export interface Shape {
  readonly runtime: string;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly diskMib: number;
}

/** A machine that is booted and ready and belongs to nobody, and its disk. */
export interface Template {
  readonly key: string;
  readonly folder: string;
  readonly shape: Shape;
  readonly disk: string;
  readonly machine: SavedMachine;
}

/** Changes when what is done to a machine before it becomes a template changes. */
const recipe = 3;

/** All that a template depends on: it is never used when one of them is another. Sixteen hex digits. */
export function templateKey(imageKey: string, shape: Shape, report: Pick<VmmReport, 'version' | 'accelerator'>, model: string): string {
  const { runtime, cpus, memoryMib, diskMib } = shape;
  const all = [recipe, imageKey, runtime, cpus, memoryMib, diskMib, report.version, report.accelerator, model];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex').slice(0, 16);
}

/** Begins the name of a folder in which a template is being made; the pid of who makes it follows. */
export const unfinishedPrefix = '.new-';

/** Nobody makes anything in this folder any more. */
export function isAbandoned(name: string): boolean {
  const pid = Number(name.slice(unfinishedPrefix.length).split('-')[0]);
  return name.startsWith(unfinishedPrefix) && pid !== process.pid && !existsSync(`/proc/${pid}`);
}

/** Names in a template's folder. */
export function templateFiles(folder: string): { disk: string; spare: string; machine: string; manifest: string } {
  return {
    disk: join(folder, 'disk.img'),
    spare: join(folder, 'spare.img'),
    machine: join(folder, 'machine'),
    manifest: join(folder, 'template.json'),
  };
}

/** The token is nobody's secret: a clone gets another by its first call, and before it there is nothing to protect. */
export const manifest = z.object({
  key: z.string(),
  token: z.string(),
  shape: z.object({ runtime: z.string(), cpus: z.number(), memoryMib: z.number(), diskMib: z.number() }),
});

/** The template in a folder; undefined when it is not complete. */
export function readTemplate(folder: string): Template | undefined {
  const files = templateFiles(folder);
  try {
    const { key, token, shape } = manifest.parse(JSON.parse(readFileSync(files.manifest, 'utf8')));
    const machine = loadSaved(files.machine, token);
    return machine === undefined || !statSync(files.disk).isFile() ? undefined : { key, folder, shape, disk: files.disk, machine };
  } catch {
    return undefined;
  }
}

/** Boxes that were made from it keep what they need of it. */
export async function removeTemplate(folder: string): Promise<void> {
  // First what makes it one.
  await rm(templateFiles(folder).manifest, { force: true });
  await rm(folder, { recursive: true, force: true });
}
