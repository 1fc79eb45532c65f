import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { PrivateDisks } from '../boxes/ports.ts';
import { syncPath } from '../sync.ts';
import { type Template, templateFiles } from './template.ts';

/** A copy of each template's disk that is made ahead: copying and syncing one is most of what a host does itself for a new box. */
export class SpareDisks {
  readonly #disks: PrivateDisks;
  readonly #stopping: AbortSignal;
  readonly #making = new Map<string, Promise<void>>();

  /** @param stopping ends what is on its way */
  constructor(disks: PrivateDisks, stopping: AbortSignal) {
    this.#disks = disks;
    this.#stopping = stopping;
  }

  /**
   * Puts a disk of the template at `path`: the one made ahead, else a new copy. What is there goes: a machine that a crash ended
   * before its box was there has written on it, and would not fit the memory of the template any more.
   * @throws DiskError
   */
  async take({ folder, disk }: Template, path: string, signal: AbortSignal): Promise<void> {
    try {
      await rename(templateFiles(folder).spare, path);
      await syncPath(dirname(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await rm(path, { force: true });
      await this.#disks.copy(disk, path, signal);
    }
  }

  /** Makes the next one, unless it is there or on its way. When that fails, a box makes its own. */
  refill({ key, folder, disk }: Template): void {
    if (this.#stopping.aborted || this.#making.has(key)) return;
    const made = this.#disks
      .copy(disk, templateFiles(folder).spare, this.#stopping)
      .catch(() => undefined)
      .finally(() => this.#making.delete(key));
    this.#making.set(key, made);
  }

  /** Resolves when nothing is on its way any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#making.values());
  }
}
