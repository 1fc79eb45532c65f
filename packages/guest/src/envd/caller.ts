import { guestUser } from '@citb/api';
import { posix } from 'node:path';
import type { Envd } from './context.ts';
import type { Owner, Tree } from '../tree/index.ts';
import type { User } from './users.ts';

/** The request names a user that this machine does not have. */
export class UnknownUser extends Error {}

/**
 * The user that a request acts for: the one named, else the box's default one.
 * @throws UnknownUser
 */
export async function actingUser(envd: Envd, named: string | undefined): Promise<User> {
  const name = named ?? envd.session.init?.defaultUser ?? guestUser.name;
  const user = await envd.users.find(name);
  if (user === undefined) throw new UnknownUser(`error looking up user '${name.slice(0, 100)}': user: unknown user ${name.slice(0, 100)}`);
  return user;
}

/** E2B's clients name the user of a call as that of HTTP's basic authentication, without a password. */
export function basicUser(authorization: string | null | undefined): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]+=*)$/.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const [name = ''] = Buffer.from(encoded, 'base64').toString().split(':');
  return name === '' ? undefined : name;
}

/** An absolute path from one as E2B's clients send it: relative to the user's home, `~` for it. */
export function absolutePath(path: string, user: User): string {
  if (path === '~' || path.startsWith('~/')) return posix.join(user.home, path.slice(1));
  return posix.resolve(user.home, path);
}

/** The same path for the tree of the whole file system. */
export function systemPath(absolute: string): string {
  return absolute.replace(/^\/+/, '');
}

/** The whole file system, what is written belonging to this user. */
export function systemTreeOf(envd: Envd, user: User): Tree {
  return envd.system.ownedBy(ownerOf(envd, user));
}

/** Only root can give files to somebody. */
export function ownerOf(envd: Pick<Envd, 'root'>, user: User): Owner | undefined {
  return envd.root ? { uid: user.uid, gid: user.gid } : undefined;
}
