import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ImageError } from './image-error.ts';
import type { ImageManifest } from './images.ts';

const manifest = z.strictObject({
  runtime: z.string(),
  description: z.string(),
  agent: z.boolean(),
  memoryMib: z.int().min(128),
  cpus: z.int().min(1),
});

/** Folders of `images/` that have a manifest. */
export async function listRuntimes(repoRoot: string): Promise<readonly string[]> {
  const folders = await readdir(join(repoRoot, 'images'), { withFileTypes: true });
  const names = folders.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const found = await Promise.all(names.map(async (name) => ((await readManifest(repoRoot, name)) === undefined ? [] : [name])));
  return found.flat().toSorted();
}

/** @throws ImageError when there is one that cannot be understood */
export async function readManifest(repoRoot: string, runtime: string): Promise<ImageManifest | undefined> {
  // The name comes from callers of the API: it must not lead out of the folder.
  if (!/^[a-z0-9][a-z0-9-]*$/.test(runtime)) return undefined;
  const file = join(repoRoot, 'images', runtime, 'manifest.json');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return manifest.parse(JSON.parse(text));
  } catch (error) {
    throw new ImageError(
      `images/${runtime}/manifest.json cannot be understood: ${String(error)}`,
      'See docs/images.md for its form.',
      [],
      error,
    );
  }
}
