import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { exportBounds, type ExportManifest, exportVersion } from '@citb/api';
import type { BoxRow } from '../boxes/rows.ts';
import type { TaskArchive } from '../tasks/archive.ts';
import { ArchiveWriter } from './archive-writer.ts';
import { pieces } from './records.ts';
import { chunksOf, usedRanges } from './used-ranges.ts';

/** What goes into an export, beside the disk. */
export interface ExportSource {
  readonly row: BoxRow;
  readonly tasks: Pick<TaskArchive, 'tasksOf' | 'eventsOf'>;
  /** ms since 1970. */
  readonly now: number;
}

/**
 * Writes the exported box into a file: see `exportManifest` for its form.
 * @param disk that nobody writes
 * @returns the hash of the file
 */
export async function writeExport(path: string, disk: string, source: ExportSource, signal: AbortSignal): Promise<string> {
  const writer = new ArchiveWriter(path);
  try {
    await using file = await open(disk, 'r');
    const { size } = await file.stat();
    await writer.add('manifest.json', Buffer.from(JSON.stringify(manifestOf(source, size))));
    await addRecords(writer, 'tasks', source.tasks.tasksOf(source.row.id), signal);
    await addRecords(writer, 'events', source.tasks.eventsOf(source.row.id), signal);
    for (const { start, end } of chunksOf(await usedRanges(disk, size), exportBounds.chunkBytes, size)) {
      signal.throwIfAborted();
      await addChunk(writer, file, start, end);
    }
    return await writer.end();
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

async function addRecords(writer: ArchiveWriter, kind: string, items: Iterable<unknown>, signal: AbortSignal): Promise<void> {
  let n = 0;
  for (const piece of pieces(items)) {
    signal.throwIfAborted();
    await writer.addCompressed(`${kind}/${String(n++).padStart(6, '0')}.ndjson.zst`, piece);
  }
}

const zeros = Buffer.alloc(exportBounds.chunkBytes);

async function addChunk(writer: ArchiveWriter, file: FileHandle, start: number, end: number): Promise<void> {
  const chunk = Buffer.allocUnsafe(end - start);
  for (let have = 0; have < chunk.length;) {
    const { bytesRead } = await file.read(chunk, have, chunk.length - have, start + have);
    if (bytesRead === 0) throw new Error('the disk became shorter while it was read');
    have += bytesRead;
  }
  if (chunk.equals(zeros.subarray(0, chunk.length))) return;
  const hash = createHash('sha256').update(chunk).digest('hex');
  await writer.addCompressed(`disk/${String(start).padStart(15, '0')}-${chunk.length}-${hash}.zst`, chunk);
}

/** What of a box may leave the host: environment variables and keys do not. */
function manifestOf({ row, now }: ExportSource, diskBytes: number): ExportManifest {
  return {
    format: 'citb-box',
    version: exportVersion,
    created: new Date(now).toISOString(),
    box: {
      id: row.id,
      user_id: row.userId,
      runtime: row.runtime,
      agent: row.agent,
      labels: { ...row.labels },
      disk_mib: row.diskMib,
      memory_mib: row.memoryMib,
      cpus: row.cpus,
      created: new Date(row.created).toISOString(),
    },
    image_key: row.imageKey,
    disk: { size_bytes: diskBytes },
  };
}
