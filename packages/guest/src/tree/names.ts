import type { Dirent } from 'node:fs';
import { type FileHandle, opendir } from 'node:fs/promises';
import { type Ground, type Place, at, openBelow, openRoot } from './place.ts';

/** What a name that is not UTF-8 is shown with. */
const replacement = '\uFFFD';

/**
 * The names in an opened folder as the kernel has them (bytes), sorted, at most `limit`.
 * Reading stops at the limit, however many there are.
 */
export async function readNames(folder: FileHandle, limit: number): Promise<{ names: Buffer[]; more: boolean }> {
  const names: Buffer[] = [];
  // Node gives names as bytes with this encoding; its types know only the string form.
  const directory = await opendir(at(folder), { encoding: 'buffer' as BufferEncoding, bufferSize: 256 });
  for await (const entry of directory as AsyncIterable<unknown> as AsyncIterable<Dirent<Buffer>>) {
    if (names.length >= limit) return { names: names.toSorted((a, b) => a.compare(b)), more: true };
    names.push(entry.name);
  }
  return { names: names.toSorted((a, b) => a.compare(b)), more: false };
}

/** A name as callers see it: bytes that are not UTF-8 become U+FFFD. */
export function shownName(name: Buffer): string {
  return name.toString('utf8');
}

/** True when the path may stand for names that are not UTF-8. */
export function mayBeShownForm(path: string): boolean {
  return path.includes(replacement);
}

/**
 * The bytes behind a path in its shown form: each part with U+FFFD is looked up among the names of its folder.
 * The path as it is when nothing, or more than one name, fits.
 */
export async function rawPath(ground: Ground, path: string): Promise<string | Buffer> {
  const parts: Buffer[] = [];
  await using root = await openRoot(ground);
  for (const part of path.split('/')) {
    if (!part.includes(replacement)) {
      parts.push(Buffer.from(part));
      continue;
    }
    await using folder = await openParent(ground, root, parts);
    const { names } = await readNames(folder.handle, 50_000);
    const [found, another] = names.filter((name) => shownName(name) === part);
    if (found === undefined || another !== undefined) return path;
    parts.push(found);
  }
  return joinPath(parts);
}

/** Joins names of bytes by `/`. */
export function joinPath(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from('/'), part])));
}

function openParent(ground: Ground, root: Place, parts: readonly Buffer[]): Promise<Place> {
  return openBelow(ground, root, root, parts.length === 0 ? '.' : joinPath(parts), { follow: true, directory: true });
}
