import type { Readable } from 'node:stream';
import { archive } from './archive.ts';
import type { TreeEntry } from './entry.ts';
import { errno, treePath, withFaults } from './fault.ts';
import { makeFolder } from './folder.ts';
import { type ListOptions, type Listing, list } from './list.ts';
import { move } from './move.ts';
import { mayBeShownForm, rawPath } from './names.ts';
import type { Ground, Owner } from './place.ts';
import type { Body } from './pour.ts';
import { type OpenFile, openFile } from './read.ts';
import { remove } from './remove.ts';
import { statEntry } from './stat.ts';
import { unpack } from './unpack.ts';
import { type Watch, watch } from './watch.ts';
import { type Filler, type WriteOptions, writeFile } from './write.ts';

/**
 * Files below one folder. Paths are relative to it (`workspacePath` of the contract; '' is the folder itself).
 * Confined, nothing outside is reached, whatever links are there or are swapped in meanwhile; what can block or never
 * ends (fifos, devices) is never opened. Names that are not UTF-8 are shown with U+FFFD and found again by that form
 * where just one name has it. Bind mounts that root makes inside count as inside.
 *
 * Every method throws ApiErrors: `file_not_found`, `not_a_file`, `not_a_directory`, `path_outside`, `invalid_path`,
 * `forbidden`, `disk_full`, `file_exists`, `body_too_large`.
 */
export interface Tree {
  list(path: string, options: ListOptions): Promise<Listing>;
  /** The last part of the path is not followed when it is a link. */
  stat(path: string): Promise<TreeEntry>;
  /** Opens a regular file for reading. Stream it or close it. */
  open(path: string): Promise<OpenFile>;
  /** Writes a whole file in one visible step, parents made. */
  write(path: string, body: Body | Filler, options?: WriteOptions): Promise<TreeEntry>;
  makeFolder(path: string): Promise<{ entry: TreeEntry; created: boolean }>;
  move(from: string, to: string, options: { overwrite: boolean }): Promise<TreeEntry>;
  remove(path: string, options: { recursive: boolean }): Promise<void>;
  /** A tar stream of a folder. */
  archive(path: string): Promise<Readable>;
  /** Unpacks a tar stream into a folder. */
  unpack(path: string, tar: Readable, signal?: AbortSignal): Promise<{ files: number }>;
  watch(path: string, options: { recursive: boolean }): Promise<Watch>;
  /** The same tree, in which what is written belongs to somebody else. */
  ownedBy(owner: Owner | undefined): Tree;
}

/** Opens a tree. Nothing is held open: the folder may come, go and be replaced. */
export function openTree(ground: Ground): Tree {
  const find = <T>(path: string, work: (path: string | Buffer) => Promise<T>): Promise<T> =>
    run(path, (clean) => byEitherForm(ground, clean, work));
  return {
    list: (path, options) => find(path, (found) => list(ground, found, options)),
    stat: (path) => find(path, (found) => statEntry(ground, found)),
    open: (path) => find(path, (found) => openFile(ground, found)),
    write: (path, body, options) => run(path, (clean) => writeFile(ground, clean, body, options)),
    makeFolder: (path) => run(path, (clean) => makeFolder(ground, clean)),
    move: (from, to, { overwrite }) => find(from, (found) => move(ground, found, treePath(to), overwrite)),
    remove: (path, { recursive }) => find(path, (found) => remove(ground, found, recursive)),
    archive: (path) => find(path, (found) => archive(ground, found)),
    unpack: (path, tar, signal) => run(path, (clean) => unpack(ground, clean, tar, signal)),
    watch: (path, { recursive }) => find(path, (found) => watch(ground, found, recursive)),
    ownedBy: (owner) => openTree({ ...ground, owner }),
  };
}

/** Checks the path, and makes what the kernel refuses an error of the table. */
function run<T>(path: string, work: (path: string) => Promise<T>): Promise<T> {
  return withFaults(path, async () => work(treePath(path)));
}

/** Tries the path as it is, then as the shown form of names that are not UTF-8. */
async function byEitherForm<T>(ground: Ground, path: string, work: (path: string | Buffer) => Promise<T>): Promise<T> {
  try {
    return await work(path);
  } catch (error) {
    if (errno(error) !== 'ENOENT' || !mayBeShownForm(path)) throw error;
    return work(await rawPath(ground, path));
  }
}
