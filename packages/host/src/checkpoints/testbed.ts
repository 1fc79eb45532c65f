import { readFileSync, writeFileSync } from 'node:fs';
import { boxPaths } from '../boxes/names.ts';
import type { AdmissionLimits } from '../boxes/admission.ts';
import type { Daemon, Testbed } from '../boxes/testbed.ts';
import { type CheckpointsModule, createCheckpoints } from './checkpoints.ts';
import type { CheckpointParts, CheckpointSettings } from './parts.ts';
import { CheckpointRows } from './rows.ts';

/** A host daemon with checkpoints, on the machine room of a test. */
export interface CheckpointDaemon extends CheckpointsModule {
  readonly daemon: Daemon;
  readonly parts: CheckpointParts;
  readonly rows: CheckpointRows;
  /** Boxes whose tasks were told of a rollback. */
  readonly rolledBack: string[];
}

export function checkpointDaemon(
  bed: Testbed,
  settings: Partial<CheckpointSettings> = {},
  limits: Partial<AdmissionLimits> = {},
): CheckpointDaemon {
  const daemon = bed.daemon({ limits });
  const rows = new CheckpointRows(bed.store, () => bed.now);
  const rolledBack: string[] = [];
  const parts: CheckpointParts = {
    boxes: daemon.parts,
    access: daemon.access,
    rows,
    guest: { flush: async () => bed.atStep('flush'), setClock: async () => {} },
    tasks: { rolledBack: (boxId) => void rolledBack.push(boxId) },
    settings: { automatic: 3, automaticBytes: 1024 * 1024, ...settings },
  };
  return { ...createCheckpoints(parts), daemon, parts, rows, rolledBack };
}

/** What the guest has on its disk. */
export function writeDisk(bed: Testbed, boxId: string, content: string): void {
  writeFileSync(boxPaths(bed.dataDir, boxId).disk, content);
}

export function readDisk(bed: Testbed, boxId: string): string {
  return readFileSync(boxPaths(bed.dataDir, boxId).disk, 'utf8');
}

/** A daemon that is killed with -9 at a step: it never gets past it. */
export function dieAt(bed: Testbed, step: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  bed.atStep = (name) => {
    if (name !== step) return undefined;
    resolve();
    return new Promise(() => {});
  };
  return promise;
}
