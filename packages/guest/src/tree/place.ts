import { type Stats, constants } from 'node:fs';
import { type FileHandle, lstat, open, readlink } from 'node:fs/promises';

/**
 * Linux's O_PATH, which Node does not name: a descriptor that only stands for a place. Opening one reads nothing,
 * waits for nothing (a fifo, a device) and cannot be moved to another file afterwards. Same value on x86-64 and arm64.
 */
export const O_PATH = 0o10000000;

/** Who gets what is written. Only root can give files away; leave it out elsewhere. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Where a tree is and what it may touch. */
export interface Ground {
  /** Absolute path of the folder that is the tree. */
  readonly root: string;
  /** Nothing outside of the root is reached, whatever links say. */
  readonly confined: boolean;
  readonly owner?: Owner | undefined;
}

/** An O_PATH descriptor of something inside the tree. Close it (`await using`). */
export interface Place extends AsyncDisposable {
  readonly handle: FileHandle;
  /** Its real path below the root, links resolved; empty for the root. */
  readonly real: Buffer;
}

/** The path of a descriptor, or of a name in the folder that it stands for: the openat(2) that Node does not have. */
export function at(handle: FileHandle, name?: string | Buffer): string | Buffer {
  const base = `/proc/self/fd/${handle.fd}`;
  if (name === undefined) return base;
  return typeof name === 'string' ? `${base}/${name}` : Buffer.concat([Buffer.from(`${base}/`), name]);
}

/** The tree's folder itself. */
export async function openRoot(ground: Ground): Promise<Place> {
  const handle = await open(ground.root, O_PATH | constants.O_DIRECTORY | (ground.confined ? constants.O_NOFOLLOW : 0));
  return place(handle, Buffer.alloc(0));
}

/**
 * Opens a place by its path from an opened folder. The kernel follows links; where they led to is then asked of the
 * descriptor, which a link that is swapped in the meantime cannot change.
 * @throws Outside when the place is not below the root
 */
export async function openBelow(
  ground: Ground,
  root: Place,
  folder: Place,
  path: string | Buffer,
  options: { follow: boolean; directory?: boolean },
): Promise<Place> {
  const flags = O_PATH | (options.follow ? 0 : constants.O_NOFOLLOW) | (options.directory === true ? constants.O_DIRECTORY : 0);
  const handle = await open(at(folder.handle, path), flags);
  try {
    const [top, real] = await Promise.all([realPath(root.handle), realPath(handle)]);
    const below = cutRoot(top, real);
    if (below === undefined && ground.confined) throw new Outside();
    return place(handle, below ?? real);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Opens a place of the tree by its path, which went through `treePath`. */
export async function openPlace(ground: Ground, path: string | Buffer, options: { follow: boolean; directory?: boolean }): Promise<Place> {
  await using root = await openRoot(ground);
  // Awaited here: the root must stay open until then.
  return await openBelow(ground, root, root, path.length === 0 ? '.' : path, options);
}

/** A child of an opened folder that is a real folder, no link. */
export async function openChildFolder(folder: FileHandle, name: string | Buffer): Promise<FileHandle> {
  return open(at(folder, name), O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/** Waits until the names of a folder are on the disk: a rename is there only then. @param folder an O_PATH descriptor */
export async function syncFolder(folder: FileHandle): Promise<void> {
  const handle = await open(at(folder), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The folder part and the last name of a path. */
export function splitLast(path: string | Buffer): { parent: Buffer; name: Buffer } {
  const bytes = Buffer.from(path);
  const slash = bytes.lastIndexOf('/');
  return { parent: bytes.subarray(0, Math.max(slash, 0)), name: bytes.subarray(slash + 1) };
}

/** What is at a path, links not followed; undefined for nothing. */
export async function statIfAny(path: string | Buffer): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A link led out of the tree. */
export class Outside extends Error {}

/** What kind of thing it is, in the words of the contract. */
export function kindOf(stats: Stats): 'file' | 'directory' | 'symlink' | 'other' {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'other';
}

async function realPath(handle: FileHandle): Promise<Buffer> {
  return readlink(at(handle), { encoding: 'buffer' });
}

function cutRoot(root: Buffer, real: Buffer): Buffer | undefined {
  if (root.equals(real)) return Buffer.alloc(0);
  const prefix = root.length === 1 ? root : Buffer.concat([root, Buffer.from('/')]);
  return real.subarray(0, prefix.length).equals(prefix) ? real.subarray(prefix.length) : undefined;
}

function place(handle: FileHandle, real: Buffer): Place {
  return { handle, real, [Symbol.asyncDispose]: () => handle.close() };
}
