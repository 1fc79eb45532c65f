import { createReadStream, createWriteStream, watch } from 'node:fs';
import { lstat, mkdir, readdir, readlink, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { ApiError, type FileChange, type FileEntry, type FileListing } from '@citb/api';
import type { FileDownload, Files } from '@citb/host/services.ts';
import { ZipFile } from 'yazl';
import type { BoxesDouble } from './boxes.ts';

/** Files of boxes, in their folders on this machine. */
export class FilesDouble implements Files {
  readonly #boxes: BoxesDouble;

  constructor(boxes: BoxesDouble) {
    this.#boxes = boxes;
  }

  async list(boxId: string, query: { path: string; recursive: boolean; limit: number }): Promise<FileListing> {
    const root = this.#root(boxId);
    const folder = await this.#inside(boxId, query.path);
    if (!(await stat(folder)).isDirectory()) throw new ApiError('not_a_directory');
    const names = await readdir(folder, { recursive: query.recursive });
    const paths = names.map((name) => path.posix.join(query.path, name)).toSorted();
    // What goes while it is looked at is not there.
    const found = await Promise.all(paths.slice(0, query.limit).map((name) => entryOf(root, name).catch(() => undefined)));
    const entries = found.filter((entry) => entry !== undefined);
    return { entries, truncated: paths.length > query.limit };
  }

  async stat(boxId: string, name: string): Promise<FileEntry> {
    await this.#inside(boxId, name);
    return entryOf(this.#root(boxId), name);
  }

  async read(boxId: string, name: string, { range, head }: { range?: string | undefined; head: boolean }): Promise<FileDownload> {
    const file = await this.#inside(boxId, name);
    const about = await lstat(file);
    if (!about.isFile()) throw new ApiError('not_a_file');
    const part = parseRange(range, about.size);
    const from = part?.from ?? 0;
    const size = part === undefined ? about.size : part.to - from + 1;
    return {
      status: part === undefined ? 200 : 206,
      size,
      contentRange: part === undefined ? undefined : `bytes ${from}-${part.to}/${about.size}`,
      modified: about.mtime.toISOString(),
      body: head || size === 0 ? new PassThrough().end() : createReadStream(file, { start: from, end: from + size - 1 }),
    };
  }

  async write(
    boxId: string,
    name: string,
    body: Readable,
    options: { mode?: string | undefined; signal: AbortSignal },
  ): Promise<FileEntry> {
    const file = path.join(this.#root(boxId), name);
    await mkdir(path.dirname(file), { recursive: true }).catch(() => {
      throw new ApiError('not_a_directory');
    });
    await this.#inside(boxId, path.dirname(name));
    const partial = `${file}.part`;
    try {
      await pipeline(body, createWriteStream(partial, { mode: Number.parseInt(options.mode ?? '644', 8) }), { signal: options.signal });
      await rename(partial, file);
    } catch (error) {
      await rm(partial, { force: true });
      if ((error as NodeJS.ErrnoException).code === 'EISDIR') throw new ApiError('not_a_file');
      throw error;
    }
    return entryOf(this.#root(boxId), name);
  }

  async makeFolder(boxId: string, name: string): Promise<FileEntry> {
    await mkdir(path.join(this.#root(boxId), name), { recursive: true }).catch(() => {
      throw new ApiError('file_exists');
    });
    return entryOf(this.#root(boxId), name);
  }

  async move(boxId: string, from: string, to: string, overwrite: boolean): Promise<FileEntry> {
    const source = await this.#inside(boxId, from);
    const target = path.join(this.#root(boxId), to);
    if (!overwrite && (await exists(target))) throw new ApiError('file_exists');
    await mkdir(path.dirname(target), { recursive: true });
    await rename(source, target);
    return entryOf(this.#root(boxId), to);
  }

  async remove(boxId: string, name: string, recursive: boolean): Promise<void> {
    const file = await this.#inside(boxId, name);
    if (recursive || !(await lstat(file)).isDirectory()) return rm(file, { recursive });
    await rmdir(file).catch(() => {
      throw new ApiError('folder_not_empty');
    });
  }

  async archive(boxId: string, name: string, format: 'tar' | 'zip'): Promise<Readable> {
    const folder = await this.#inside(boxId, name);
    if (format === 'tar') return spawn('tar', ['-c', '.'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] }).stdout;
    const zip = new ZipFile();
    for (const entry of (await this.list(boxId, { path: name, recursive: true, limit: 10_000 })).entries)
      if (entry.type === 'file') zip.addFile(path.join(this.#root(boxId), entry.path), path.posix.relative(name, entry.path));
    zip.end();
    return new PassThrough().wrap(zip.outputStream);
  }

  async unpack(boxId: string, name: string, tar: Readable): Promise<{ files: number }> {
    const folder = path.join(this.#root(boxId), name);
    await mkdir(folder, { recursive: true });
    const child = spawn('tar', ['-xv'], { cwd: folder, stdio: ['pipe', 'pipe', 'ignore'] });
    let listed = '';
    child.stdout.on('data', (chunk: Buffer) => (listed += chunk.toString('utf8')));
    const [, [code]] = await Promise.all([pipeline(tar, child.stdin), once(child, 'close') as Promise<[number]>]);
    if (code !== 0) throw new ApiError('invalid_request', 'The body is not a tar.');
    return { files: listed.split('\n').filter((line) => line !== '' && !line.endsWith('/')).length };
  }

  async *watch(boxId: string, name: string, signal: AbortSignal): AsyncIterable<FileChange> {
    const folder = await this.#inside(boxId, name);
    // Made before the first item is given: that of fs/promises would only stand when it is first read.
    const watcher = watch(folder, { recursive: true, signal });
    const changes = on(watcher, 'change', { signal }) as AsyncIterable<[string, string | null]>;
    yield { type: 'heartbeat', path: '' };
    for await (const [event, filename] of changes) {
      const changed = path.posix.join(name, filename ?? '');
      const there = await exists(path.join(this.#root(boxId), changed));
      yield { type: there ? (event === 'rename' ? 'created' : 'modified') : 'removed', path: changed };
    }
  }

  #root(boxId: string): string {
    this.#boxes.need(boxId);
    return this.#boxes.workspace(boxId);
  }

  /** The place of a name, links resolved but the last. @throws file_not_found, path_outside */
  async #inside(boxId: string, name: string): Promise<string> {
    const root = await realpath(this.#root(boxId));
    const file = path.join(root, name);
    const resolved = await realpath(file).catch(() => {
      throw new ApiError('file_not_found');
    });
    if (resolved !== root && !resolved.startsWith(`${root}/`)) throw new ApiError('path_outside');
    return file;
  }
}

async function entryOf(root: string, name: string): Promise<FileEntry> {
  const file = path.join(root, name);
  const about = await lstat(file);
  const type = about.isFile() ? 'file' : about.isDirectory() ? 'directory' : about.isSymbolicLink() ? 'symlink' : 'other';
  return {
    path: name,
    type,
    size: type === 'file' ? about.size : 0,
    modified: about.mtime.toISOString(),
    mode: (about.mode & 0o7777).toString(8).padStart(3, '0'),
    ...(type === 'symlink' ? { target: await readlink(file) } : {}),
  };
}

async function exists(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    () => false,
  );
}

function parseRange(header: string | undefined, size: number): { from: number; to: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const from = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const to = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (from >= size || from > to) throw new ApiError('range_not_satisfiable');
  return { from, to };
}
