import { mkdir, rm } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import type { LiveBox } from '../boxes/access.ts';
import { type SavedMachine, startMachine } from '../boxes/machine.ts';
import { withMemory } from '../boxes/memory-room.ts';
import { boxesFolder, boxPaths, newAccessToken, newBoxId } from '../boxes/names.ts';
import { removeBox } from '../boxes/remove.ts';
import type { BoxRow } from '../boxes/rows.ts';
import { loadSaved } from '../boxes/saved-machine.ts';
import type { ForkRequest } from '../services.ts';
import { captureBox, copySaved } from './capture.ts';
import { failure, reachable } from './make.ts';
import type { CheckpointParts } from './parts.ts';
import { checkpointFiles, forkFolder } from './paths.ts';

/** Scope of boxes among the idempotency keys: a key makes one box, however it is made. */
const scope = 'boxes';

/**
 * A new box that is the source in all; resolves with its id when it answers. The row comes first, as with every creation: a
 * crash takes the fork back, and leaves the source as it is.
 * @throws box_not_found, box_exists, checkpoint_not_found, idempotency_conflict, host_full, host_disk_full, box_failed, checkpoint_failed
 */
export async function forkBox(parts: CheckpointParts, sourceId: string, request: ForkRequest, idempotencyKey?: string): Promise<string> {
  const { boxes, access } = parts;
  // It is not the one that is put to sleep to make room.
  using _source = access.use(sourceId);
  const before = earlier(parts, sourceId, request, idempotencyKey);
  if (before === undefined) await reachable(parts, sourceId);
  const { id, started } = await withMemory(boxes, () => {
    const made = earlier(parts, sourceId, request, idempotencyKey);
    if (made !== undefined) return { id: made, started: access.awake(made) };
    const row = insert(parts, sourceId, request, idempotencyKey);
    return { id: row.id, started: boxes.writers.start(row.id, (signal) => bringUp(parts, sourceId, row, request, signal)) };
  });
  await started;
  return id;
}

/** The fork that the same request made under this key before. */
function earlier({ boxes }: CheckpointParts, sourceId: string, request: ForkRequest, key: string | undefined): string | undefined {
  const made = key === undefined ? undefined : boxes.idempotency.find(scope, key, identityOf(sourceId, request));
  if (made !== undefined && boxes.rows.get(made) === undefined)
    throw new ApiError('box_killed', 'The box that was made with this Idempotency-Key has been killed since.', {
      hint: 'Use a new Idempotency-Key for a new box.',
    });
  return made;
}

function insert(parts: CheckpointParts, sourceId: string, request: ForkRequest, key: string | undefined): BoxRow {
  const { rows, admission, idempotency, modelKeys, now } = parts.boxes;
  const source = rows.get(sourceId);
  if (source === undefined) throw new ApiError('box_not_found');
  if (source.intent === 'kill') throw new ApiError('box_killed');
  if (request.checkpoint !== undefined && parts.rows.get(sourceId, request.checkpoint) === undefined)
    throw new ApiError('checkpoint_not_found', undefined, { field: 'checkpoint' });
  if (request.id !== undefined && rows.get(request.id) !== undefined) throw new ApiError('box_exists', undefined, { field: 'id' });
  const ofUser = request.userId === undefined ? undefined : rows.byUser(request.userId);
  if (ofUser !== undefined) throw new ApiError('box_exists', `The user has a box already: ${ofUser.id}.`, { field: 'user_id' });
  admission.checkNew(rows.count());
  const id = request.id ?? newBoxId();
  admission.reserve(id, source.memoryMib);
  const { ANTHROPIC_API_KEY: ownKey, ...given } = request.envVars ?? {};
  try {
    rows.store.transaction(() => {
      rows.insert({
        ...source,
        id,
        userId: request.userId ?? null,
        labels: request.labels ?? source.labels,
        created: now(),
        // Its time, too, counts from its own creation.
        expires: source.timeoutS === null ? null : now() + source.timeoutS * 1000,
        secrets: { accessToken: newAccessToken(), envVars: request.envVars === undefined ? rows.secrets(sourceId).envVars : given },
      });
      if (ownKey !== undefined && ownKey !== '') modelKeys.set(id, ownKey);
      else modelKeys.copy(sourceId, id);
      if (key !== undefined) idempotency.remember(scope, key, identityOf(sourceId, request), id);
    });
  } catch (error) {
    admission.release(id);
    throw error;
  }
  const inserted = rows.get(id);
  if (inserted === undefined) throw new Error(`the row of ${id} is not there`);
  return inserted;
}

/** The fork's writer: its state is copied, its machine started. What fails takes the fork back. */
async function bringUp(parts: CheckpointParts, sourceId: string, row: BoxRow, request: ForkRequest, signal: AbortSignal): Promise<LiveBox> {
  const { boxes } = parts;
  const { dataDir } = boxes.settings;
  const machine = forkFolder(dataDir, row.id);
  try {
    await mkdir(boxesFolder(dataDir), { recursive: true, mode: 0o711 });
    await mkdir(boxPaths(dataDir, row.id).folder, { recursive: true, mode: 0o700 });
    await copyState(parts, sourceId, row.id, request.checkpoint, machine, signal);
    boxes.events.add(sourceId, 'forked', { box_id: row.id });
    boxes.logs.note(row.id, `forked from ${sourceId}${request.checkpoint === undefined ? '' : `, checkpoint ${request.checkpoint}`}`);
    const saved = loadSaved(machine, boxes.rows.secrets(sourceId).accessToken);
    const box = await startFork(parts, row, saved, signal);
    await rm(machine, { recursive: true, force: true });
    return box;
  } catch (error) {
    const killed = signal.aborted && boxes.rows.get(row.id)?.intent === 'kill';
    if (!killed) await removeBox(boxes, row.id, 'undo');
    throw signal.aborted ? signal.reason : failure(error);
  }
}

/** Disk and saved machine of the source, or of its checkpoint, in the fork's folder. */
async function copyState(
  parts: CheckpointParts,
  sourceId: string,
  id: string,
  checkpoint: string | undefined,
  machine: string,
  signal: AbortSignal,
): Promise<void> {
  const { writers, disks, settings } = parts.boxes;
  const { disk } = boxPaths(settings.dataDir, id);
  // In the source's writer, also for a checkpoint: nobody deletes it meanwhile. The source never waits for a fork, so this ends.
  await writers.run(sourceId, async (sourceSignal) => {
    const either = AbortSignal.any([signal, sourceSignal]);
    if (checkpoint === undefined) {
      await captureBox(parts, sourceId, { disk, machine }, either);
      return;
    }
    const from = parts.rows.get(sourceId, checkpoint);
    if (from === undefined) throw new ApiError('checkpoint_not_found', undefined, { field: 'checkpoint' });
    const files = checkpointFiles(settings.dataDir, sourceId, checkpoint);
    await disks.copy(files.disk, disk, either);
    if (from.memory) await copySaved(files.machine, machine);
  });
}

async function startFork({ boxes }: CheckpointParts, row: BoxRow, saved: SavedMachine | undefined, signal: AbortSignal): Promise<LiveBox> {
  if (saved !== undefined) {
    try {
      return await startMachine(boxes, row, { ...saved, how: 'fork' }, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ApiError && (error.code === 'host_full' || error.code === 'host_disk_full')) throw error;
      boxes.log.warn({ err: error, box: row.id }, 'the memory of a fork could not be brought up');
      boxes.logs.note(
        row.id,
        `the memory of the source could not be brought up, the fork boots from its disk: ${(error as Error).message}`,
      );
    }
  }
  try {
    return await startMachine(boxes, row, 'disk', signal);
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError('box_failed', `The fork could not be started: ${(error as Error).message}`, { cause: error });
  }
}

/** What makes two requests the same: all but the Anthropic key, which may be renewed between them. */
function identityOf(forkOf: string, { envVars, ...request }: ForkRequest): unknown {
  const { ANTHROPIC_API_KEY: _key, ...rest } = envVars ?? {};
  return { forkOf, ...request, ...(envVars === undefined ? {} : { envVars: rest }) };
}
