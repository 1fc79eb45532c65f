import { type Stats, lstatSync, readlinkSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { FileEntry } from '@citb/api';
import { at, kindOf } from './place.ts';

/** Something in the tree, links not followed. */
export interface TreeEntry {
  /** Relative to the root of the tree. */
  readonly path: string;
  readonly stats: Stats;
  /** Where a link points, as it is written. */
  readonly target?: string;
}

/**
 * The entry of a name in an opened folder; undefined when there is nothing by that name (any more).
 * Synchronous on purpose: an lstat that goes through the thread pool takes four times as long, which a listing of
 * thousands pays for each one, and it cannot block on what it finds. (A file system that the box's own root mounts
 * and that never answers could; it would hold up the pool's few threads just as well, and only in that box.)
 */
export function readEntry(folder: FileHandle, name: string | Buffer, path: string): TreeEntry | undefined {
  const where = at(folder, name);
  const stats = lstatSync(where, { throwIfNoEntry: false });
  if (stats?.isSymbolicLink() !== true) return stats === undefined ? undefined : { path, stats };
  try {
    return { path, stats, target: readlinkSync(where) };
  } catch {
    // Replaced by something else between the two calls.
    return undefined;
  }
}

/** The wire form of the contract. */
export function fileEntry({ path, stats, target }: TreeEntry): FileEntry {
  return {
    path,
    type: kindOf(stats),
    size: stats.size,
    modified: isoTime(stats.mtime),
    mode: (stats.mode & 0o7777).toString(8).padStart(3, '0'),
    ...(target === undefined ? {} : { target }),
  };
}

/** A file's time can be anything that its owner sets; what no date can show becomes the epoch. */
export function isoTime(time: Date): string {
  const year = Number.isNaN(time.getTime()) ? undefined : time.getUTCFullYear();
  return year !== undefined && year >= 0 && year <= 9999 ? time.toISOString() : new Date(0).toISOString();
}
