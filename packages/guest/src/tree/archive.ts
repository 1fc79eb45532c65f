import { type FileHandle, open } from 'node:fs/promises';
import { constants } from 'node:fs';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import { type TreeEntry, readEntry } from './entry.ts';
import { errno } from './fault.ts';
import { maxDepth } from './list.ts';
import { readNames, shownName } from './names.ts';
import { isPart } from './part-file.ts';
import { type Ground, O_PATH, type Place, at, openChildFolder, openPlace } from './place.ts';
import { chunkBytes } from './read.ts';

type TarHeader = Parameters<Pack['entry']>[0];

/** Names of one folder that are put into an archive. */
const namesPerFolder = 200_000;

/**
 * A tar of a folder: regular files, folders, and links as links; fifos, sockets and devices are left out, and what is
 * deeper than {@link maxDepth}. Names are relative to the folder. A file that shrinks while it is read is filled up
 * with zeros, one that grows is cut: a tar says each size beforehand. Destroy the stream to stop early.
 */
export async function archive(ground: Ground, path: string | Buffer): Promise<Readable> {
  const top = await openPlace(ground, path, { follow: true, directory: true });
  const tar = pack();
  void fillArchive(tar, top);
  // tar-stream's streams are streamx ones; callers get Node's.
  return Readable.from(tar as AsyncIterable<Buffer>, { objectMode: false, highWaterMark: chunkBytes });
}

async function fillArchive(tar: Pack, top: Place): Promise<void> {
  try {
    await addFolder(tar, top.handle, '', 1);
    tar.finalize();
  } catch (error) {
    tar.destroy(error instanceof Error ? error : new Error('archive failed'));
  } finally {
    await top.handle.close();
  }
}

async function addFolder(tar: Pack, folder: FileHandle, prefix: string, level: number): Promise<void> {
  const { names } = await readNames(folder, namesPerFolder);
  for (const name of names) {
    if (isPart(name)) continue;
    try {
      const entry = readEntry(folder, name, prefix + shownName(name));
      if (entry !== undefined) await addEntry(tar, folder, name, entry, level);
    } catch (error) {
      // Gone or changed its kind since it was listed, or not for this user: left out.
      if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENXIO'].includes(errno(error) ?? '')) throw error;
    }
  }
}

async function addEntry(tar: Pack, folder: FileHandle, name: Buffer, entry: TreeEntry, level: number): Promise<void> {
  const { stats, path } = entry;
  const header = { mode: stats.mode & 0o777, mtime: stats.mtime, uid: stats.uid, gid: stats.gid };
  if (entry.target !== undefined) return addHeader(tar, { ...header, name: path, type: 'symlink', linkname: entry.target });
  if (stats.isFile()) return addFile(tar, folder, name, { ...header, name: path, type: 'file' });
  if (!stats.isDirectory()) return;
  await addHeader(tar, { ...header, name: `${path}/`, type: 'directory' });
  if (level >= maxDepth) return;
  const child = await openChildFolder(folder, name);
  try {
    await addFolder(tar, child, `${path}/`, level + 1);
  } finally {
    await child.close();
  }
}

async function addFile(tar: Pack, folder: FileHandle, name: Buffer, header: TarHeader): Promise<void> {
  const place = await open(at(folder, name), O_PATH | constants.O_NOFOLLOW);
  try {
    const { size, ...stats } = await place.stat();
    if ((stats.mode & constants.S_IFMT) !== constants.S_IFREG) return;
    const file = await open(at(place), constants.O_RDONLY | constants.O_NONBLOCK);
    // The sink is a streamx stream, which pipeline() takes as it takes Node's.
    const sink = tar.entry({ ...header, size }) as NodeJS.WritableStream;
    await pipeline(exactly(file, size), sink);
  } finally {
    await place.close();
  }
}

/** Just `size` bytes of a file, whatever becomes of it. */
async function* exactly(file: FileHandle, size: number): AsyncGenerator<Buffer> {
  let sent = 0;
  if (size === 0) await file.close();
  else
    for await (const chunk of file.createReadStream({ start: 0, end: size - 1, highWaterMark: chunkBytes }) as AsyncIterable<Buffer>) {
      sent += chunk.length;
      yield chunk;
    }
  for (; sent < size; sent += chunkBytes) yield Buffer.alloc(Math.min(chunkBytes, size - sent));
}

async function addHeader(tar: Pack, header: TarHeader): Promise<void> {
  const sink = tar.entry(header);
  sink.end(null);
  await finished(sink as NodeJS.WritableStream);
}
