import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { type TreeEntry, readEntry } from './entry.ts';
import { errno } from './fault.ts';
import { readNames, shownName } from './names.ts';
import { isPart, removeIfLeft } from './part-file.ts';
import { type Ground, openChildFolder, openPlace } from './place.ts';

export interface ListOptions {
  /** Folders below it as deep as this; 1 = the folder's own entries. */
  readonly depth: number;
  /** At most this many entries. */
  readonly limit: number;
}

export interface Listing {
  /** Sorted by path, by UTF-16 code units. */
  readonly entries: TreeEntry[];
  /** There are more than `limit`, or some deeper than {@link maxDepth}. */
  readonly truncated: boolean;
}

/** A descriptor is held for each level; nobody's project is this deep. */
export const maxDepth = 200;

/** Other work gets its turn after this many entries. */
const breath = 256;

/** All entries of a folder and below, links not followed; what vanishes meanwhile is left out. */
export async function list(ground: Ground, path: string | Buffer, options: ListOptions): Promise<Listing> {
  await using top = await openPlace(ground, path, { follow: true, directory: true });
  const scan = new Scan(options);
  await scan.folder(top.handle, path.length === 0 ? '' : `${path.toString()}/`, 1);
  scan.entries.sort((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  return { entries: scan.entries, truncated: scan.truncated };
}

class Scan {
  readonly entries: TreeEntry[] = [];
  truncated = false;
  readonly #limit: number;
  readonly #depth: number;

  constructor({ limit, depth }: ListOptions) {
    this.#limit = limit;
    this.#depth = depth;
  }

  async folder(folder: FileHandle, prefix: string, level: number): Promise<void> {
    const { names, more } = await readNames(folder, this.#limit + 1);
    this.truncated ||= more;
    for (const [index, name] of names.entries()) {
      if (this.#full()) return;
      if (index % breath === breath - 1) await setImmediate();
      const entry = readEntry(folder, name, prefix + shownName(name));
      if (entry === undefined) continue;
      if (isPart(name)) {
        await removeIfLeft(folder, name, entry);
        continue;
      }
      this.entries.push(entry);
      if (entry.stats.isDirectory() && level < this.#depth) await this.#below(folder, name, entry.path, level);
    }
  }

  async #below(folder: FileHandle, name: Buffer, path: string, level: number): Promise<void> {
    if (level >= maxDepth) {
      this.truncated = true;
      return;
    }
    const child = await whileThere(() => openChildFolder(folder, name));
    if (child === undefined) return;
    try {
      await whileThere(() => this.folder(child, `${path}/`, level + 1));
    } finally {
      await child.close();
    }
  }

  #full(): boolean {
    if (this.entries.length < this.#limit) return false;
    this.truncated = true;
    return true;
  }
}

/** Undefined for what is gone, changed its kind, or may not be looked at. */
async function whileThere<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'].includes(errno(error) ?? '')) return undefined;
    throw error;
  }
}
