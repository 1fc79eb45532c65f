import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ApiError, type ExportManifest, type Task } from '@citb/api';
import { boxesFolder, boxPaths, newAccessToken, newBoxId } from '../boxes/names.ts';
import type { BoxParts } from '../boxes/parts.ts';
import type { ImportRequest } from '../services.ts';
import type { StagedTasks, TaskArchive } from '../tasks/archive.ts';
import { checkRoom } from '../space/sizes.ts';
import { readExport } from './import.ts';
import type { EventRecord } from './records.ts';

/** Who the new box is. */
export interface Arrival extends ImportRequest {
  readonly signal: AbortSignal;
  /** Called in the transaction in which the box appears. */
  readonly onAppear?: (id: string) => void;
}

/** Where imports are made; nothing in it counts. */
export function importsFolder(dataDir: string): string {
  return join(dataDir, 'imports');
}

/**
 * A box from an exported one, `stopped`. It appears in one step when all was read and checked; until then, and after a crash, there
 * is nothing of it.
 * @returns its id
 * @throws unknown_runtime, box_exists, host_full, host_disk_full, import_invalid, import_version
 */
export async function importBox(boxes: BoxParts, archive: TaskArchive, body: Readable, arrival: Arrival): Promise<string> {
  const { dataDir } = boxes.settings;
  checkFree(boxes, arrival);
  const folder = join(importsFolder(dataDir), randomUUID());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const staged = archive.stage();
  try {
    const manifest = await read(boxes, staged, folder, body, arrival.signal);
    return appear(boxes, staged, folder, manifest, arrival);
  } catch (error) {
    staged.drop();
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw new ApiError('host_disk_full', undefined, { cause: error });
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function read(boxes: BoxParts, staged: StagedTasks, folder: string, body: Readable, signal: AbortSignal): Promise<ExportManifest> {
  let found: ExportManifest | undefined;
  const sink = {
    manifest: async (manifest: ExportManifest): Promise<void> => {
      await checkRuntime(boxes, manifest.box.runtime);
      found = manifest;
    },
    checkRoom: () => checkRoom(boxes.admission, 0),
    task: (task: Task) => staged.addTask(task),
    event: ({ task, event }: EventRecord) => staged.addEvent(task, event),
  };
  await readExport(body, join(folder, 'disk.img'), sink, signal);
  if (found === undefined) throw new ApiError('import_invalid');
  return found;
}

/** Folder and row in one turn, so that the reconciler never sees the one without the other. */
function appear(boxes: BoxParts, staged: StagedTasks, folder: string, { box }: ExportManifest, arrival: Arrival): string {
  const { rows, settings, logs, events, modelKeys, now } = boxes;
  checkFree(boxes, arrival);
  const id = arrival.id ?? newBoxId();
  const { ANTHROPIC_API_KEY: ownKey, ...envVars } = arrival.envVars ?? {};
  mkdirSync(boxesFolder(settings.dataDir), { recursive: true, mode: 0o711 });
  renameSync(folder, boxPaths(settings.dataDir, id).folder);
  rows.store.transaction(() => {
    rows.insertStopped({
      id,
      userId: arrival.userId ?? null,
      runtime: box.runtime,
      agent: box.agent,
      imageKey: '',
      labels: box.labels,
      diskMib: box.disk_mib,
      memoryMib: box.memory_mib,
      cpus: box.cpus,
      created: now(),
      expires: null,
      idleS: settings.idleS,
      keepAliveUntil: null,
      timeoutS: null,
      onTimeout: 'kill',
      secrets: { accessToken: newAccessToken(), envVars },
    });
    if (ownKey !== undefined && ownKey !== '') modelKeys.set(id, ownKey);
    staged.giveTo(id);
    events.add(id, 'created', { imported_from: box.id });
    arrival.onAppear?.(id);
  });
  logs.note(id, `imported; it was ${box.id} when it was exported`);
  return id;
}

/** @throws box_exists, host_full, host_disk_full */
function checkFree({ rows, admission }: BoxParts, { id, userId }: Arrival): void {
  if (id !== undefined && rows.get(id) !== undefined) throw new ApiError('box_exists', undefined, { field: 'id' });
  const ofUser = userId === undefined ? undefined : rows.byUser(userId);
  if (ofUser !== undefined) throw new ApiError('box_exists', `The user has a box already: ${ofUser.id}.`, { field: 'user_id' });
  admission.checkNew(rows.count());
}

async function checkRuntime({ images }: BoxParts, runtime: string): Promise<void> {
  const runtimes = await images.runtimes();
  if (!runtimes.includes(runtime))
    throw new ApiError('unknown_runtime', `The exported box has the runtime ${JSON.stringify(runtime)}, which this host does not have.`, {
      hint: `This host has: ${runtimes.join(', ')}.`,
    });
}
