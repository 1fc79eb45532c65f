import { ApiError, type FileContent, workspaceFolder, workspacePath } from '@citb/api';
import type { z } from 'zod';

/** A checked path of a file. @throws invalid_path with the field named */
export function filePath(value: string, field: string): string {
  return checked(workspacePath, value, field);
}

/** A checked path of a folder; '' is the workspace. @throws invalid_path with the field named */
export function folderPath(value: string, field: string): string {
  return checked(workspaceFolder, value, field);
}

function checked(schema: z.ZodType<string>, value: string, field: string): string {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const reason = parsed.error.issues.flatMap((issue) => (issue.code === 'invalid_union' ? issue.errors.flat() : [issue])).at(-1);
  throw new ApiError('invalid_path', `${field}: ${value === '' ? 'the path is empty' : (reason?.message ?? 'not a path')}`, { field });
}

/**
 * The files that come with a task, by their checked paths.
 * @throws invalid_path also when two names are the same place, or one lies below another
 */
export function taskFiles(files: Readonly<Record<string, FileContent>>): Record<string, FileContent> {
  const byPath = new Map<string, FileContent>();
  for (const [name, content] of Object.entries(files)) {
    const path = filePath(name, `files.${name.slice(0, 100)}`);
    if (byPath.has(path)) throw new ApiError('invalid_path', `files: ${JSON.stringify(path)} is given twice`, { field: 'files' });
    byPath.set(path, content);
  }
  for (const path of byPath.keys()) {
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      const above = path.slice(0, cut);
      if (byPath.has(above))
        throw new ApiError('invalid_path', `files: ${JSON.stringify(above)} cannot be both a file and a folder`, { field: 'files' });
    }
  }
  return Object.fromEntries(byPath);
}
