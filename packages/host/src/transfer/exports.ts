import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError, type BoxExport, boxExport } from '@citb/api';
import { parseRange } from '@citb/daemon';
import { newId } from '../checkpoints/paths.ts';
import type { FileDownload } from '../services.ts';

/** How long a prepared export is kept, ms. */
export const exportKeptMs = 24 * 3600 * 1000;
/** Prepared exports of a host at once: each takes as much as its box's disk, packed. */
const mostExports = 32;

/** Prepared exports: `<id>.citb` with `<id>.json` beside it, which is written last. They outlive daemon and box. */
export class Exports {
  readonly #folder: string;
  readonly #now: () => number;
  /** Being made, or being read: these are not removed for their age. */
  #making = 0;

  constructor(dataDir: string, now: () => number) {
    this.#folder = join(dataDir, 'exports');
    this.#now = now;
  }

  /**
   * Has a file made in a folder of its own; it counts when it is complete.
   * @param write gets the path of the file and a folder for what it needs, and returns the file's hash
   * @param once for one answer only: it does not outlive the daemon
   * @throws export_limit, and what `write` throws
   */
  async make(boxId: string, write: (path: string, folder: string) => Promise<string>, once = false): Promise<BoxExport> {
    if (this.#making + (await this.#all()).length >= mostExports) throw new ApiError('export_limit');
    const id = newId('exp');
    const folder = join(this.#folder, `${id}.new`);
    this.#making += 1;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const unfinished = join(folder, 'box.citb');
      const sha256 = await write(unfinished, folder);
      const { size } = await stat(unfinished);
      const created = this.#now();
      const about: BoxExport = {
        id,
        box_id: boxId,
        size_bytes: size,
        sha256,
        created: new Date(created).toISOString(),
        expires: new Date(created + exportKeptMs).toISOString(),
      };
      await rename(unfinished, this.#file(id));
      await writeFile(`${this.#about(id)}.new`, JSON.stringify({ ...about, once }), { mode: 0o600, flush: true });
      await rename(`${this.#about(id)}.new`, this.#about(id));
      return about;
    } finally {
      this.#making -= 1;
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** @throws export_not_found, range_not_satisfiable */
  async read(id: string, range: string | undefined): Promise<FileDownload> {
    const about = await this.#find(id);
    const part = parseRange(range, about.size_bytes);
    // Open before the headers go out: one that is removed meanwhile is read to its end.
    const file = await open(this.#file(id), 'r').catch(() => {
      throw new ApiError('export_not_found');
    });
    return {
      status: part === undefined ? 200 : 206,
      size: part === undefined ? about.size_bytes : part.end - part.start + 1,
      contentRange: part === undefined ? undefined : `bytes ${part.start}-${part.end}/${about.size_bytes}`,
      modified: about.created,
      body: createReadStream('', { fd: file, ...part }),
    };
  }

  /** @throws export_not_found */
  async remove(id: string): Promise<void> {
    await this.#find(id);
    await rm(this.#about(id), { force: true });
    await rm(this.#file(id), { force: true });
  }

  /** Removes those that were for one answer of an earlier daemon. Call it before the first request. */
  async removeOnce(): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => [])) {
      if (!name.endsWith('.json')) continue;
      const about = await readFile(join(this.#folder, name), 'utf8').catch(() => '');
      if (about.includes('"once":true')) await this.remove(name.slice(0, -5)).catch(() => undefined);
    }
  }

  /** Removes what is too old, and what a daemon that was cut off has left. */
  async prune(): Promise<void> {
    const kept = new Set((await this.#all()).filter(({ expires }) => Date.parse(expires) > this.#now()).map(({ id }) => id));
    if (this.#making > 0) return;
    for (const name of await readdir(this.#folder).catch(() => []))
      if (!/^exp_[a-z0-9]{12}\.(citb|json)$/.test(name) || !kept.has(name.slice(0, 16)))
        await rm(join(this.#folder, name), { recursive: true, force: true });
  }

  async #all(): Promise<BoxExport[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const found = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => this.#load(name.slice(0, -5))));
    return found.filter((about) => about !== undefined);
  }

  async #find(id: string): Promise<BoxExport> {
    const about = await this.#load(id);
    if (about === undefined) throw new ApiError('export_not_found');
    return about;
  }

  async #load(id: string): Promise<BoxExport | undefined> {
    try {
      return boxExport.parse(JSON.parse(await readFile(this.#about(id), 'utf8')));
    } catch {
      return undefined;
    }
  }

  #file(id: string): string {
    return join(this.#folder, `${id}.citb`);
  }

  #about(id: string): string {
    return join(this.#folder, `${id}.json`);
  }
}
