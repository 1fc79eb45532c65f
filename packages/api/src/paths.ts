import { z } from 'zod';
import { limits } from './limits.ts';

/**
 * A relative path inside the workspace: no NUL, no `..`, no leading `/`, no empty name, names of at most
 * 255 bytes (NAME_MAX). A trailing `/` and `./` parts are taken away. The same check runs on the host,
 * for a clear answer, and in the guest.
 */
export const workspacePath = z
  .string()
  .min(1)
  .transform((value, context) => cleanPath(value, context))
  .meta({ description: 'Path relative to /workspace, for example "src/main.py".', example: 'src/main.py' });

/** Like {@link workspacePath}, and empty, `.` or `/` for the workspace itself. */
export const workspaceFolder = z
  .string()
  .transform((value, context) => (value === '' || value === '.' || value === '/' ? '' : cleanPath(value, context)))
  .meta({ description: 'Folder relative to /workspace; empty for the workspace itself.', example: 'src' });

function cleanPath(value: string, context: z.RefinementCtx): string {
  const parts = value.split('/').filter((part, index, all) => part !== '.' && !(part === '' && index === all.length - 1 && index > 0));
  const bad = badPart(value, parts);
  if (bad === undefined) return parts.join('/');
  context.addIssue({ code: 'custom', message: bad, params: { code: 'invalid_path' } });
  return z.NEVER;
}

function badPart(value: string, parts: readonly string[]): string | undefined {
  if (value.startsWith('/')) return 'an absolute path leads out of the workspace';
  if (value.includes('\0')) return 'a path cannot hold a NUL';
  if (!value.isWellFormed()) return 'the path is not valid Unicode';
  if (parts.length === 0) return 'the path names nothing';
  if (parts.includes('..')) return '".." leads out of the workspace';
  if (parts.includes('')) return 'the path has an empty part';
  if (Buffer.byteLength(value) > limits.pathBytes) return `the path is longer than ${limits.pathBytes} bytes`;
  if (parts.some((part) => Buffer.byteLength(part) > limits.nameBytes)) return `a name is longer than ${limits.nameBytes} bytes`;
  return undefined;
}
