import { ApiError, type Files } from '@citb/sdk';

/** What is at a path in a box. */
export async function remoteKind(files: Files, path: string): Promise<'file' | 'folder' | 'nothing'> {
  try {
    await files.list(path, { recursive: false, limit: 1 });
    return 'folder';
  } catch (error) {
    if (error instanceof ApiError && error.code === 'not_a_directory') return 'file';
    if (error instanceof ApiError && error.code === 'file_not_found') return 'nothing';
    throw error;
  }
}
