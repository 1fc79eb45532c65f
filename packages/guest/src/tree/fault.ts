import { ApiError, type ErrorCode, workspacePath } from '@citb/api';
import { Outside } from './place.ts';

const codes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['file_not_found', 'There is nothing at'],
  ENOTDIR: ['not_a_directory', 'A part of the path is not a folder:'],
  ELOOP: ['path_outside', 'There are too many links at'],
  EACCES: ['forbidden', 'The file system does not allow this at'],
  EPERM: ['forbidden', 'The file system does not allow this at'],
  EROFS: ['forbidden', 'The file system is read-only at'],
  ENOSPC: ['disk_full', 'The disk was full while writing'],
  EDQUOT: ['disk_full', 'The disk was full while writing'],
  EFBIG: ['body_too_large', 'The file system takes no file this large:'],
  EEXIST: ['file_exists', 'There is already something at'],
  ENOTEMPTY: ['file_exists', 'The folder is not empty:'],
  EISDIR: ['not_a_file', 'This is a folder:'],
  ENXIO: ['not_a_file', 'This is not a regular file:'],
  EBUSY: ['forbidden', 'Something is mounted at'],
  ENAMETOOLONG: ['invalid_path', 'The path is too long:'],
  EINVAL: ['invalid_path', 'The file system does not take this path:'],
  EXDEV: ['not_supported', 'Source and destination are on different file systems:'],
};

/** Runs a piece of file work; what the kernel refuses becomes an error of the table that names the path. */
export async function withFaults<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toFault(path, error);
  }
}

/** The table's error for an errno. Anything unknown is passed on. */
export function toFault(path: string, error: unknown): unknown {
  if (error instanceof ApiError) return error;
  const shown = path === '' ? 'the root folder' : `"${path.slice(0, 300)}"`;
  if (error instanceof Outside) return new ApiError('path_outside', `A link leads out of the workspace at ${shown}.`);
  const known = codes[errno(error) ?? ''];
  return known === undefined ? error : new ApiError(known[0], `${known[1]} ${shown}.`, { cause: error });
}

/** The code of a system error (`ENOENT`), if it is one. */
export function errno(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/**
 * A path as the tree takes it: relative, no `..`, no empty part; empty for the root.
 * @throws ApiError `invalid_path`
 */
export function treePath(path: string): string {
  if (path === '' || path === '.' || path === '/') return '';
  const parsed = workspacePath.safeParse(path);
  if (parsed.success) return parsed.data;
  throw new ApiError('invalid_path', `The path is not usable: ${parsed.error.issues[0]?.message ?? 'unknown'}.`);
}
