import { dirname, isAbsolute, relative, resolve } from 'node:path';
import type { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ReadEntry, extract } from 'tar';
import { oneLine } from '../render/index.ts';

/**
 * Unpacks a tar of a box into a folder. A box may be hostile: only files, folders and symbolic links that stay inside are taken; set-uid
 * bits are not. node-tar itself refuses absolute names, `..`, and names that lead through a link.
 */
export async function unpackInto(target: string, tar: Readable, counted: Transform): Promise<{ files: number; skipped: string[] }> {
  const skipped: string[] = [];
  let files = 0;
  const unpack = extract({
    cwd: target,
    strict: true,
    preserveOwner: false,
    filter: (path, entry) => {
      const wanted = 'header' in entry && isWanted(target, path, entry);
      if (!wanted) skipped.push(oneLine(path, 200));
      else if (entry.type !== 'Directory' && entry.type !== 'SymbolicLink') files += 1;
      return wanted;
    },
    onReadEntry: (entry) => {
      if (entry.mode !== undefined) entry.mode &= 0o777;
    },
  });
  await pipeline(tar, counted, unpack);
  return { files, skipped };
}

function isWanted(target: string, path: string, entry: ReadEntry): boolean {
  const { type, linkpath = '' } = entry;
  if (type === 'SymbolicLink') return !isAbsolute(linkpath) && isInside(target, resolve(target, dirname(path), linkpath));
  return type === 'File' || type === 'OldFile' || type === 'ContiguousFile' || type === 'Directory';
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}
