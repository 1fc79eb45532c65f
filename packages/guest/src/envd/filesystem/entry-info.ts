import { realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { posix } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type EntryInfoSchema, FileType } from '@citb/api/gen/filesystem_pb.js';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type TreeEntry, kindOf } from '../../tree/index.ts';
import type { Users } from '../users.ts';

export type EntryInfo = MessageInitShape<typeof EntryInfoSchema>;

/**
 * E2B's view of entries. `metadata` (extended attributes) is always empty: Node cannot read them, and a process for
 * each entry would cost more than it gives.
 */
export async function entryInfos(entries: readonly TreeEntry[], users: Users): Promise<EntryInfo[]> {
  const names = await users.names();
  const infos: EntryInfo[] = [];
  for (const entry of entries) {
    const { stats } = entry;
    const path = `/${entry.path}`;
    infos.push({
      name: posix.basename(path),
      path,
      size: BigInt(stats.size),
      permissions: permissions(stats),
      owner: names.users.get(stats.uid) ?? String(stats.uid),
      group: names.groups.get(stats.gid) ?? String(stats.gid),
      modifiedTime: timestampFromDate(stats.mtime),
      ...(entry.target === undefined ? typeAndMode(stats) : await behindLink(path)),
    });
  }
  return infos;
}

export async function entryInfo(entry: TreeEntry, users: Users): Promise<EntryInfo> {
  const [info = {}] = await entryInfos([entry], users);
  return info;
}

function typeAndMode(stats: Stats): Pick<EntryInfo, 'type' | 'mode'> {
  const types = { file: FileType.FILE, directory: FileType.DIRECTORY, symlink: FileType.SYMLINK, other: FileType.UNSPECIFIED };
  return { type: types[kindOf(stats)], mode: stats.mode & 0o777 };
}

/** A link shows the type of what it leads to, as E2B has it. */
async function behindLink(path: string): Promise<Pick<EntryInfo, 'type' | 'mode' | 'symlinkTarget'>> {
  try {
    const symlinkTarget = await realpath(path);
    return { ...typeAndMode(await stat(symlinkTarget)), symlinkTarget };
  } catch {
    return { type: FileType.UNSPECIFIED, mode: 0, symlinkTarget: path };
  }
}

/** As Go prints a file mode: "-rw-r--r--", "drwxr-xr-x", "Lrwxrwxrwx". */
function permissions(stats: Stats): string {
  const kinds: readonly [boolean, string][] = [
    [stats.isDirectory(), 'd'],
    [stats.isSymbolicLink(), 'L'],
    [stats.isBlockDevice(), 'D'],
    [stats.isCharacterDevice(), 'Dc'],
    [stats.isFIFO(), 'p'],
    [stats.isSocket(), 'S'],
    [(stats.mode & 0o4000) !== 0, 'u'],
    [(stats.mode & 0o2000) !== 0, 'g'],
    [(stats.mode & 0o1000) !== 0, 't'],
  ];
  const prefix = kinds.map(([is, letter]) => (is ? letter : '')).join('');
  const bits = Array.from('rwxrwxrwx')
    .map((letter, index) => ((stats.mode & (0o400 >> index)) === 0 ? '-' : letter))
    .join('');
  return (prefix === '' ? '-' : prefix) + bits;
}
