import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** The users of this machine, as /etc/passwd has them at the moment: the box's root may change it at any time. */
export interface Users {
  find(name: string): Promise<User | undefined>;
  /** Names by uid and by gid, for listings. */
  names(): Promise<{ users: ReadonlyMap<number, string>; groups: ReadonlyMap<number, string> }>;
}

/** A box's root can make these files as large as it likes. In bytes. */
const fileLimit = 1024 * 1024;

export function systemUsers(passwdPath = '/etc/passwd', groupPath = '/etc/group'): Users {
  return {
    async find(name) {
      return parsePasswd(await readSmall(passwdPath)).find((user) => user.name === name);
    },
    async names() {
      const [passwd, group] = await Promise.all([readSmall(passwdPath), readSmall(groupPath)]);
      return {
        users: new Map(parsePasswd(passwd).map(({ uid, name }) => [uid, name])),
        groups: new Map(lines(group).map(([name = '', , gid]) => [Number(gid), name])),
      };
    },
  };
}

function parsePasswd(text: string): User[] {
  return lines(text).flatMap(([name = '', , uid, gid, , home = '/', shell = '']) => {
    const user = {
      name,
      uid: Number(uid),
      gid: Number(gid),
      home: home.startsWith('/') ? home : '/',
      shell: shell === '' ? '/bin/sh' : shell,
    };
    return name !== '' && Number.isInteger(user.uid) && Number.isInteger(user.gid) ? [user] : [];
  });
}

function lines(text: string): string[][] {
  return text.split('\n').map((line) => line.split(':'));
}

/** The start of a regular file, '' when it is none. Never waits, whatever the path has become. */
export async function readSmall(path: string, limit = fileLimit): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined);
  if (file === undefined) return '';
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return '';
    const length = Math.min(stats.size, limit);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
