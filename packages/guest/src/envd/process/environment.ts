import { posix } from 'node:path';
import type { Envd } from '../context.ts';
import { absolutePath } from '../caller.ts';
import type { User } from '../users.ts';

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a process of this user finds in its environment: the basics, then the box's, then what the request says. */
export function environmentOf(envd: Envd, user: User, requested: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: path,
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    SHELL: user.shell,
    LANG: 'C.UTF-8',
    ...envd.session.init?.envVars,
    ...requested,
  };
}

/** Where it starts: what the request says (relative to the user's home), else the box's default, else the workspace. */
export function workFolder(envd: Envd, user: User, requested: string | undefined): string {
  if (requested !== undefined && requested !== '') return absolutePath(requested, user);
  return posix.resolve('/', envd.session.init?.defaultWorkdir ?? envd.workspacePath);
}
