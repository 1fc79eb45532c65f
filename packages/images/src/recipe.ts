import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Characters of a key: 64 bits, enough to tell recipes of one machine apart and short in paths (sockets have 107 bytes). */
const keyLength = 16;

/** The content address of a recipe: of anything JSON can hold, in a fixed order. */
export function keyOf(...inputs: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, keyLength);
}

/**
 * What a folder holds, as input to {@link keyOf}: path, kind, executable bit and content of each entry; not times and owners.
 * @param skip names (relative paths) that do not belong to the recipe
 */
export async function folderRecipe(folder: string, skip: (path: string) => boolean = () => false): Promise<readonly string[]> {
  const entries = (await readdir(folder, { recursive: true })).filter((path) => !skip(path)).toSorted();
  const lines = await Promise.all(entries.map(async (path) => entryRecipe(folder, path)));
  return lines.filter((line) => line !== undefined);
}

async function entryRecipe(folder: string, path: string): Promise<string | undefined> {
  const full = join(folder, path);
  const stat = await lstat(full);
  if (stat.isDirectory()) return undefined;
  if (stat.isSymbolicLink()) return `${path} -> ${await readlink(full)}`;
  const hash = createHash('sha256')
    .update(await readFile(full))
    .digest('hex');
  return `${path} ${(stat.mode & 0o111) === 0 ? '-' : 'x'} ${hash}`;
}

/** SHA-256 of a file of any size, hexadecimal. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest('hex');
}
