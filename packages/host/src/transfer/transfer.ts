import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '@citb/api';
import { boxOf } from '../boxes/rows.ts';
import { captureBox } from '../checkpoints/capture.ts';
import { failure, reachable } from '../checkpoints/make.ts';
import type { CheckpointParts } from '../checkpoints/parts.ts';
import type { Transfer } from '../services.ts';
import { createTaskArchive } from '../tasks/archive.ts';
import { usageReport } from '../space/usage.ts';
import { importBox, importsFolder } from './arrive.ts';
import { writeExport } from './export.ts';
import { Exports } from './exports.ts';

/** Imports that are read at once: each holds a few entries in memory. */
const mostImports = 4;

/** Export and import of boxes, put together. */
export interface TransferModule {
  /** For the routes. */
  readonly transfer: Transfer;
  /** Removes what a crash left. Call it once, before the first request. */
  recover(): Promise<void>;
  /** Removes old exports. Call it with every maintenance. */
  prune(): Promise<void>;
  /** Ends exports and imports under way. */
  close(): void;
}

export function createTransfer(parts: CheckpointParts): TransferModule {
  const { boxes } = parts;
  const { dataDir } = boxes.settings;
  const exports = new Exports(dataDir, boxes.now);
  const archive = createTaskArchive(boxes.rows.store);
  const stopping = new AbortController();
  let imports = 0;

  return {
    transfer: {
      async prepare(boxId) {
        await reachable(parts, boxId);
        return await exports.make(boxId, async (path, folder) => {
          const disk = join(folder, 'disk.img');
          try {
            await boxes.writers.run(boxId, async (signal) => void (await captureBox(parts, boxId, { disk }, signal)));
            const row = boxes.rows.get(boxId);
            if (row === undefined) throw new ApiError('box_killed');
            return await writeExport(path, disk, { row, tasks: archive, now: boxes.now() }, stopping.signal);
          } catch (error) {
            throw failure(error);
          }
        });
      },
      read: (id, range) => exports.read(id, range),
      remove: (id) => exports.remove(id),
      async import(body, arrival) {
        if (imports >= mostImports) throw new ApiError('host_full', 'This host reads as many boxes as it does at once.');
        imports += 1;
        try {
          const signal = AbortSignal.any([arrival.signal, stopping.signal]);
          const id = await importBox(boxes, archive, body, { ...arrival, signal });
          const row = boxes.rows.get(id);
          if (row === undefined) throw new ApiError('box_killed');
          return boxOf(row);
        } finally {
          imports -= 1;
        }
      },
      usage: ({ userId }) => usageReport(parts, userId),
    },
    async recover() {
      archive.dropStaged();
      await rm(importsFolder(dataDir), { recursive: true, force: true });
      await exports.prune();
    },
    prune: () => exports.prune(),
    close: () => stopping.abort(new ApiError('host_stopping')),
  };
}
