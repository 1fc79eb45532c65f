import { ApiError } from '@citb/api';
import type { LiveBox } from '../boxes/access.ts';
import { boxOf, type BoxRow } from '../boxes/rows.ts';
import { loadSaved } from '../boxes/saved-machine.ts';
import type { Checkpoints } from '../services.ts';
import { checkpointBeforeTask, removeCheckpoint } from './automatic.ts';
import { AgentCheckpoints } from './by-agent.ts';
import { forkBox } from './fork.ts';
import { makeCheckpoint } from './make.ts';
import { manualKept, type CheckpointParts } from './parts.ts';
import { checkpointFiles } from './paths.ts';
import { reconcileCheckpoints } from './reconcile.ts';
import { rollBack } from './rollback.ts';
import { checkpointOf } from './rows.ts';

/** Checkpoints, rollbacks and forks, put together. */
export interface CheckpointsModule {
  /** For the routes. */
  readonly checkpoints: Checkpoints;
  /** For the tasks. @throws host_stopping alone */
  beforeTask(box: LiveBox, taskId: string): Promise<void>;
  /** For the broker. @param name already harmless */
  byAgent(boxId: string, name: string): Promise<{ id: string; name: string | null }>;
  /** Puts right what a crash left. Call it after the boxes are reconciled, before the first request, and with every maintenance. */
  reconcile(): Promise<void>;
  /** Files of images without which the memory of a checkpoint could not be brought back. */
  imageFiles(): string[];
  /** Removes the oldest automatic checkpoints until `enough` says so. Returns how many went. */
  expireAutomatic(enough: () => boolean): Promise<number>;
}

export function createCheckpoints(parts: CheckpointParts): CheckpointsModule {
  const { boxes, rows, access } = parts;
  const agents = new AgentCheckpoints(parts);
  access.onKilled((boxId) => rows.forgetBox(boxId));

  function row(boxId: string): BoxRow {
    const found = boxes.rows.get(boxId);
    if (found === undefined) throw new ApiError('box_not_found');
    return found;
  }

  return {
    checkpoints: {
      async create(boxId, { name, memory }) {
        row(boxId);
        const manual = rows.of(boxId).filter(({ kind }) => kind === 'manual').length;
        if (manual >= manualKept)
          throw new ApiError('checkpoint_limit', `The box has ${manual} checkpoints, and at most ${manualKept} are kept.`);
        return checkpointOf(await makeCheckpoint(parts, { boxId, name: name ?? null, kind: 'manual', taskId: null, memory }));
      },
      async list(boxId) {
        row(boxId);
        return rows.of(boxId).map(checkpointOf);
      },
      async restore(boxId, id) {
        row(boxId);
        await rollBack(parts, boxId, id);
        return boxOf(row(boxId));
      },
      async remove(boxId, id) {
        row(boxId);
        if (rows.get(boxId, id) === undefined) throw new ApiError('checkpoint_not_found');
        await removeCheckpoint(parts, boxId, id);
      },
      async fork(boxId, request, idempotencyKey) {
        row(boxId);
        return boxOf(row(await forkBox(parts, boxId, request, idempotencyKey)));
      },
    },
    beforeTask: (box, taskId) => checkpointBeforeTask(parts, box, taskId),
    byAgent: (boxId, name) => agents.make(boxId, name),
    reconcile: () => reconcileCheckpoints(parts),
    imageFiles: () => boxes.rows.all().flatMap(({ id }) => imageFilesOf(parts, id)),
    async expireAutomatic(enough) {
      let removed = 0;
      for (const { boxId, id } of rows.automatic()) {
        if (enough()) break;
        await removeCheckpoint(parts, boxId, id);
        access.note(boxId, `automatic checkpoint ${id} removed: the host needs the room`);
        removed += 1;
      }
      return removed;
    },
  };
}

function imageFilesOf({ boxes, rows }: CheckpointParts, boxId: string): string[] {
  const machines = rows.of(boxId).map(({ id }) => loadSaved(checkpointFiles(boxes.settings.dataDir, boxId, id).machine, undefined));
  return machines.flatMap((saved) => (saved === undefined ? [] : [saved.spec.boot.kernel, ...saved.spec.drives.map(({ path }) => path)]));
}
