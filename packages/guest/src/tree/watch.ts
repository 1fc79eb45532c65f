import { type FSWatcher, type Stats, watch as watchFolder } from 'node:fs';
import { posix } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type FileChange } from '@citb/api';
import { Bell } from './bell.ts';
import { readEntry } from './entry.ts';
import { joinPath, readNames, shownName } from './names.ts';
import { type Ground, at, openPlace } from './place.ts';
import { isPart } from './part-file.ts';

/** inotify watches of one caller; further are not watched. */
const maxFolders = 2048;
/** Names remembered of one folder; changes of further ones are seen as creations. */
const maxNames = 10_000;
/** Changes waiting for a caller that does not read; beyond it the watch ends. */
const maxQueued = 10_000;
/** Events are gathered this long, in ms: both halves of a rename come together, a burst of writes is one change. */
const gatherMs = 25;

/** A running watch. Close it. */
export interface Watch {
  /** What changed since the last call, in order. @throws ApiError `queue_full` when more changed than is kept */
  take(): FileChange[];
  /** Resolves when there is something to take, when it was closed, after `ms`, or when the signal is aborted. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
  readonly closed: boolean;
  close(): void;
}

/**
 * Watches a folder. What Node tells of inotify (a name, and whether the folder or a file changed) is made into changes
 * by comparing with what was there before. Paths are relative to the watched folder.
 * Links are not followed into. Resolves when all folders are watched.
 */
export async function watch(ground: Ground, path: string | Buffer, recursive: boolean): Promise<Watch> {
  const watcher = new TreeWatch(ground, Buffer.from(path), recursive);
  await watcher.add(Buffer.alloc(0), false);
  return watcher;
}

/** One watched folder and what is known of its names. Keys are names and paths as latin1 of their bytes. */
interface Folder {
  readonly path: Buffer;
  readonly watcher: FSWatcher;
  readonly known: Map<string, Stats>;
  readonly pending: Set<string>;
}

class TreeWatch implements Watch {
  readonly #ground: Ground;
  readonly #top: Buffer;
  readonly #recursive: boolean;
  readonly #folders = new Map<string, Folder>();
  readonly #queue: FileChange[] = [];
  readonly #bell = new Bell();
  #gathering = false;
  #closed = false;
  #overflow = false;

  constructor(ground: Ground, top: Buffer, recursive: boolean) {
    this.#ground = ground;
    this.#top = top;
    this.#recursive = recursive;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    for (const folder of this.#folders.values()) folder.watcher.close();
    this.#folders.clear();
    this.#bell.ring();
  }

  take(): FileChange[] {
    if (this.#overflow)
      throw new ApiError('queue_full', `More than ${maxQueued} changes were not taken.`, { hint: 'Watch again, and list the files.' });
    return this.#queue.splice(0);
  }

  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#queue.length === 0 && !this.#closed) await this.#bell.wait(ms, signal);
  }

  /** Starts to watch a folder; with `tell` what is already in it is told as created. */
  async add(path: Buffer, tell: boolean): Promise<void> {
    const key = path.toString('latin1');
    if (this.#closed || this.#folders.size >= maxFolders || this.#folders.has(key)) return;
    await using place = await openPlace(this.#ground, below(this.#top, path), { follow: path.length === 0, directory: true });
    const watcher = watchFolder(at(place.handle), 'buffer', (_, name) => this.#noted(key, name));
    const folder: Folder = { path, watcher, known: new Map(), pending: new Set() };
    this.#folders.set(key, folder);
    watcher.on('error', () => this.#drop(path));
    const { names } = await readNames(place.handle, maxNames);
    for (const name of names) {
      const entry = readEntry(place.handle, name, '');
      if (entry === undefined) continue;
      folder.known.set(name.toString('latin1'), entry.stats);
      if (tell) this.#tell('created', below(path, name));
      if (this.#recursive && entry.stats.isDirectory()) await this.#addIfThere(below(path, name), tell);
    }
  }

  #noted(key: string, name: Buffer | null): void {
    const folder = this.#folders.get(key);
    if (folder === undefined || name === null || folder.pending.size >= maxNames) return;
    folder.pending.add(name.toString('latin1'));
    if (!this.#gathering) void this.#gather();
  }

  async #gather(): Promise<void> {
    this.#gathering = true;
    await sleep(gatherMs);
    for (const folder of Array.from(this.#folders.values())) {
      const names = [...folder.pending];
      folder.pending.clear();
      if (names.length > 0) await this.#compare(folder, names).catch(() => this.#drop(folder.path));
    }
    this.#gathering = false;
    if ([...this.#folders.values()].some((folder) => folder.pending.size > 0)) void this.#gather();
  }

  async #compare(folder: Folder, names: readonly string[]): Promise<void> {
    await using place = await openPlace(this.#ground, below(this.#top, folder.path), { follow: folder.path.length === 0, directory: true });
    const seen = new Map<string, Stats>();
    for (const name of names) {
      const entry = readEntry(place.handle, Buffer.from(name, 'latin1'), '');
      if (entry !== undefined) seen.set(name, entry.stats);
    }
    const arrived = new Set([...seen].filter(([name]) => !folder.known.has(name)).map(([, stats]) => stats.ino));
    for (const name of names) {
      const before = folder.known.get(name);
      if (before !== undefined && !seen.has(name)) this.#gone(folder, name, arrived.has(before.ino));
    }
    for (const [name, stats] of seen) await this.#present(folder, name, stats);
  }

  #gone(folder: Folder, name: string, renamed: boolean): void {
    folder.known.delete(name);
    const path = below(folder.path, Buffer.from(name, 'latin1'));
    this.#drop(path);
    this.#tell(renamed ? 'renamed' : 'removed', path);
  }

  async #present(folder: Folder, name: string, stats: Stats): Promise<void> {
    const before = folder.known.get(name);
    const path = below(folder.path, Buffer.from(name, 'latin1'));
    if (folder.known.size < maxNames || before !== undefined) folder.known.set(name, stats);
    if (before === undefined) {
      this.#tell('created', path);
      if (stats.isFile() && stats.size > 0) this.#tell('modified', path);
      if (stats.isDirectory() && this.#recursive) await this.#addIfThere(path, true);
    } else if (stats.isFile() && (stats.ino !== before.ino || stats.mtimeMs !== before.mtimeMs || stats.size !== before.size)) {
      this.#tell('modified', path);
    } else if (stats.mode !== before.mode || stats.uid !== before.uid || stats.gid !== before.gid) {
      this.#tell('attributes', path);
    }
  }

  async #addIfThere(path: Buffer, tell: boolean): Promise<void> {
    await this.add(path, tell).catch(() => undefined);
  }

  /** Stops to watch a folder and those below it. */
  #drop(path: Buffer): void {
    const key = path.toString('latin1');
    for (const [name, folder] of this.#folders) {
      if (name !== key && !name.startsWith(`${key}/`)) continue;
      folder.watcher.close();
      this.#folders.delete(name);
    }
  }

  #tell(type: FileChange['type'], path: Buffer): void {
    const shown = shownName(path);
    // Files that are being written appear under their own name when they are whole.
    if (isPart(posix.basename(shown))) return;
    if (this.#queue.length >= maxQueued) {
      this.#overflow = true;
      this.close();
      return;
    }
    this.#queue.push({ type, path: shown });
    this.#bell.ring();
  }
}

function below(folder: Buffer, name: Buffer): Buffer {
  if (folder.length === 0) return name;
  return name.length === 0 ? folder : joinPath([folder, name]);
}
