import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ApiError, type Box } from '@citb/api';
import { boxOf } from '../boxes/rows.ts';
import { captureBox } from '../checkpoints/capture.ts';
import { failure, reachable } from '../checkpoints/make.ts';
import type { CheckpointParts } from '../checkpoints/parts.ts';
import type { ImportRequest, Transfer } from '../services.ts';
import { createTaskArchive } from '../tasks/archive.ts';
import { checkRoom } from '../space/sizes.ts';
import { boxSpace, usageReport } from '../space/usage.ts';
import { type Arrival, importBox, importsFolder } from './arrive.ts';
import { writeExport } from './export.ts';
import { Exports } from './exports.ts';
import { Uploads } from './uploads.ts';

/** Imports that are read at once: each holds a few entries in memory. */
const mostImports = 4;

/** Scope of finished imports among the idempotency keys: an import makes one box, however often that is asked for. */
const scope = 'imports';

/** Export and import of boxes, put together. */
export interface TransferModule {
  /** For the routes. */
  readonly transfer: Transfer;
  /** Removes what a crash left. Call it once, before the first request. */
  recover(): Promise<void>;
  /** Removes old exports, and imports that nobody goes on with. Call it with every maintenance. */
  prune(): Promise<void>;
  /** Ends exports and imports under way. */
  close(): void;
}

export function createTransfer(parts: CheckpointParts): TransferModule {
  const { boxes } = parts;
  const { dataDir } = boxes.settings;
  const exports = new Exports(dataDir, boxes.now);
  const uploads = new Uploads({ dataDir, now: boxes.now, checkRoom: () => checkRoom(boxes.admission, 0) });
  const archive = createTaskArchive(boxes.rows.store);
  const stopping = new AbortController();
  let imports = 0;

  function boxOfId(id: string): Box {
    const row = boxes.rows.get(id);
    if (row === undefined) throw new ApiError('box_killed');
    return boxOf(row);
  }

  async function arrive(body: Readable, arrival: Arrival): Promise<Box> {
    if (imports >= mostImports) throw new ApiError('host_full', 'This host reads as many boxes as it does at once.');
    imports += 1;
    try {
      return boxOfId(await importBox(boxes, archive, body, { ...arrival, signal: AbortSignal.any([arrival.signal, stopping.signal]) }));
    } finally {
      imports -= 1;
    }
  }

  /** Whoever asked may have left meanwhile: the box is made all the same, and who asks again gets it. */
  async function finish(id: string, request: ImportRequest): Promise<Box> {
    return await uploads.use(id, async (path) => {
      const { idempotency } = boxes;
      const identity = identityOf(request);
      const made = idempotency.find(scope, id, identity);
      if (made !== undefined) return boxOfId(made);
      await uploads.find(id);
      const onAppear = (boxId: string): void => idempotency.remember(scope, id, identity, boxId);
      const body = createReadStream(path);
      try {
        // Before it has a reader nobody would take its failure.
        await once(body, 'open');
        const box = await arrive(body, { ...request, onAppear, signal: stopping.signal });
        await uploads.drop(id);
        return box;
      } catch (error) {
        // No request could make a box of it.
        if (error instanceof ApiError && error.code === 'import_invalid') await uploads.drop(id);
        throw error;
      } finally {
        body.destroy();
      }
    });
  }

  return {
    transfer: {
      async prepare(boxId, forOneAnswer) {
        await reachable(parts, boxId);
        return await exports.make(
          boxId,
          async (path, folder) => {
            const disk = join(folder, 'disk.img');
            try {
              await boxes.writers.run(boxId, async (signal) => void (await captureBox(parts, boxId, { disk }, signal)));
              const row = boxes.rows.get(boxId);
              if (row === undefined) throw new ApiError('box_killed');
              return await writeExport(path, disk, { row, tasks: archive, now: boxes.now() }, stopping.signal);
            } catch (error) {
              throw failure(error);
            }
          },
          forOneAnswer,
        );
      },
      read: (id, range) => exports.read(id, range),
      remove: (id) => exports.remove(id),
      import: arrive,
      uploads: {
        begin: () => uploads.begin(),
        get: (id) => uploads.find(id),
        append: (id, offset, body, signal) => uploads.append(id, offset, body, AbortSignal.any([signal, stopping.signal])),
        finish,
        remove: (id) => uploads.remove(id),
      },
      usage: ({ userId }) => usageReport(parts, userId),
      async usageOf(boxId) {
        const row = boxes.rows.get(boxId);
        if (row === undefined) throw new ApiError('box_not_found');
        return await boxSpace(parts, row);
      },
    },
    async recover() {
      archive.dropStaged();
      await rm(importsFolder(dataDir), { recursive: true, force: true });
      await exports.removeOnce();
      await exports.prune();
      await uploads.prune();
    },
    async prune() {
      await exports.prune();
      await uploads.prune();
    },
    close: () => stopping.abort(new ApiError('host_stopping')),
  };
}

/** What makes two requests the same: all but the Anthropic key, which may be renewed between them. */
function identityOf({ envVars, ...request }: ImportRequest): unknown {
  const { ANTHROPIC_API_KEY: _key, ...rest } = envVars ?? {};
  return { ...request, envVars: rest };
}
