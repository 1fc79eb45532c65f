import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { ApiError, exportBounds, exportHeader, type ExportManifest, exportManifest, exportVersion, type Task } from '@citb/api';
import { layoutOf } from '../disks/layout.ts';
import { type ArchiveEntry, broken, parseJson, readArchive, unpacked } from './archive-reader.ts';
import { eventRecord, type EventRecord, parsePiece, taskRecord } from './records.ts';

/** Where what is read goes. Nothing of it counts before the reading ends without an error. */
export interface ImportSink {
  /** Called first. @throws ApiError to refuse */
  manifest(manifest: ExportManifest): Promise<void>;
  /** Called now and then. @throws host_disk_full */
  checkRoom(): void;
  task(task: Task): void;
  event(record: EventRecord): void;
}

/** Unpacked, a piece of tasks or events has hardly more than an entry may. */
const pieceBytes = 4 * exportBounds.entryBytes;
/** Zeros of this length are not written: they stay holes. */
const holeBytes = 64 * 1024;
const zeros = Buffer.alloc(holeBytes);

/**
 * Reads an exported box: its disk into a new file, the rest into the sink. Resolves when every checksum was compared and the disk is
 * on the disk of the host.
 * @throws import_invalid, import_version, host_disk_full
 */
export async function readExport(body: Readable, diskPath: string, sink: ImportSink, signal: AbortSignal): Promise<void> {
  await using disk = await open(diskPath, 'wx', 0o600);
  let size: number | undefined;
  let next = 0;
  for await (const entry of readArchive(body, signal)) {
    if (size === undefined) {
      const manifest = manifestOf(entry);
      size = manifest.disk.size_bytes;
      await sink.manifest(manifest);
      await disk.truncate(size);
    } else if (entry.name.startsWith('disk/')) {
      next = await writeChunk(disk, entry, next, size);
      sink.checkRoom();
    } else if (entry.name.startsWith('tasks/')) {
      for (const task of records(await unpacked(entry, pieceBytes), taskRecord)) sink.task(task);
    } else if (entry.name.startsWith('events/')) {
      for (const event of records(await unpacked(entry, pieceBytes), eventRecord)) sink.event(event);
    } else throw broken(`nothing is known of the entry ${JSON.stringify(entry.name.slice(0, 100))}`);
  }
  if (size === undefined) throw broken('it is empty');
  await disk.sync();
}

/** @throws import_version, import_invalid */
function manifestOf({ name, content }: ArchiveEntry): ExportManifest {
  const given = name === 'manifest.json' ? parseJson(content) : undefined;
  const header = exportHeader.safeParse(given).data;
  if (header === undefined) throw broken('it does not begin with a manifest');
  if (header.version > exportVersion)
    throw new ApiError('import_version', `The exported box has format ${header.version}; this host reads up to ${exportVersion}.`);
  const manifest = exportManifest.safeParse(given);
  if (!manifest.success) throw broken('its manifest is damaged', manifest.error);
  const { box, disk } = manifest.data;
  // The size that a disk of so many MiB has in this version, and room for what others may add to it.
  const most = (layoutOf(box.disk_mib).totalMib + 1024) * 1024 * 1024;
  if (disk.size_bytes > most || disk.size_bytes % 512 !== 0) throw broken('its disk has another size than it says');
  return manifest.data;
}

/** @returns where the next chunk may begin */
async function writeChunk(disk: FileHandle, entry: ArchiveEntry, next: number, size: number): Promise<number> {
  const match = /^disk\/(\d{15})-(\d{1,8})-([0-9a-f]{64})\.zst$/.exec(entry.name);
  const [start, length, hash] = [Number(match?.[1]), Number(match?.[2]), match?.[3]];
  if (match === null || start < next || length > exportBounds.chunkBytes || start + length > size)
    throw broken(`the piece of the disk ${JSON.stringify(entry.name.slice(0, 100))} is not in its place`);
  const chunk = await unpacked(entry, exportBounds.chunkBytes);
  if (chunk.length !== length || createHash('sha256').update(chunk).digest('hex') !== hash)
    throw broken(`the disk differs from what was exported at byte ${start}`);
  for (let at = 0; at < length; at += holeBytes) {
    const piece = chunk.subarray(at, Math.min(length, at + holeBytes));
    if (!piece.equals(zeros.subarray(0, piece.length))) await writeAll(disk, piece, start + at);
  }
  return start + length;
}

async function writeAll(disk: FileHandle, piece: Buffer, position: number): Promise<void> {
  for (let done = 0; done < piece.length;) done += (await disk.write(piece, done, piece.length - done, position + done)).bytesWritten;
}

function records<T>(piece: Buffer, schema: Parameters<typeof parsePiece<T>>[1]): T[] {
  try {
    return parsePiece(piece, schema);
  } catch (error) {
    throw broken('a task or an event has an unknown form', error);
  }
}
