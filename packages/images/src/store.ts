import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { run } from './command.ts';
import { digestOf } from './recipe.ts';

/** What was published: lies as `artifact.json` in its folder, which is there completely or not at all. */
const artifactRecord = z.object({
  /** SHA-256 over the files: the same recipe built twice need not give the same bytes, and a snapshot needs the same. */
  digest: z.string(),
  created: z.iso.datetime(),
});

export interface Artifact {
  readonly name: string;
  readonly folder: string;
  readonly digest: string;
}

/**
 * Finished files of images, each in a folder `<kind>-<key>`. Written to a temporary folder first and published by a
 * rename, so that an interrupted build leaves nothing that looks finished. Writers hold the build lock; readers need none.
 */
export class ArtifactStore {
  readonly #folder: string;
  /** For what is being built; emptied by {@link clean}. */
  readonly temporary: string;

  /** @param root the images folder of a data directory */
  constructor(root: string) {
    this.#folder = join(root, 'artifacts');
    this.temporary = join(root, 'tmp');
  }

  async find(name: string): Promise<Artifact | undefined> {
    const folder = join(this.#folder, name);
    try {
      const { digest } = artifactRecord.parse(JSON.parse(await readFile(join(folder, 'artifact.json'), 'utf8')));
      return { name, folder, digest };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** A new empty folder, removed by the next {@link clean} when its owner did not come to that. */
  async workspace(): Promise<string> {
    await mkdir(this.temporary, { recursive: true });
    return await mkdtemp(join(this.temporary, 'build-'));
  }

  /** Makes the files of a folder (a {@link workspace}) an artifact, readable for every user of the machine. */
  async publish(name: string, from: string): Promise<Artifact> {
    const digests: string[] = [];
    for (const file of (await readdir(from)).toSorted()) {
      await chmod(join(from, file), 0o444);
      digests.push(`${file} ${await digestOf(join(from, file))}`);
    }
    const record = { digest: digests.join('\n'), created: new Date().toISOString() };
    await writeFile(join(from, 'artifact.json'), `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o444, flush: true });
    await chmod(from, 0o755);
    await mkdir(this.#folder, { recursive: true });
    const folder = join(this.#folder, name);
    await rm(folder, { recursive: true, force: true });
    await rename(from, folder);
    return { name, folder, digest: record.digest };
  }

  /** Removes what interrupted builds left. Only under the build lock. */
  async clean(): Promise<void> {
    // Not node's rm, which would follow into whatever is mounted below.
    await run('What an interrupted build left cannot be removed', 'rm', ['-rf', '--one-file-system', this.temporary]);
    await mkdir(this.temporary, { recursive: true });
  }

  /** Removes every artifact that `keep` does not want; answers their names. Only under the build lock. */
  async prune(keep: (artifact: { name: string; folder: string }) => boolean): Promise<string[]> {
    const removed: string[] = [];
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names) {
      const folder = join(this.#folder, name);
      if (keep({ name, folder })) continue;
      await rm(folder, { recursive: true, force: true });
      removed.push(name);
    }
    return removed;
  }
}
