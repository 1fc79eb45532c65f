import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, type BoxImport, limits } from '@citb/api';
import { newId } from '../checkpoints/paths.ts';

/** How long an unfinished upload is kept after its last byte, ms. */
export const uploadKeptMs = 24 * 3600 * 1000;
/** Uploads of a host at once: each may take as much as a box's disk, packed. */
const mostUploads = 16;
/** Between two looks at the room that is left on the disk, bytes. */
const roomEachBytes = 16 * 1024 * 1024;

export interface UploadsOptions {
  readonly dataDir: string;
  /** ms since 1970. */
  readonly now: () => number;
  /** @throws host_disk_full */
  readonly checkRoom: () => void;
}

/**
 * Files that come in pieces: `<id>.part`, whose size says how far one is and whose time when it was last written. They outlive
 * the daemon; nothing else is kept of them.
 */
export class Uploads {
  readonly #folder: string;
  readonly #options: UploadsOptions;
  /** What is done with an upload, one after the other, and how to end the piece that is being written. */
  readonly #work = new Map<string, { readonly last: Promise<unknown>; readonly abort: AbortController }>();

  constructor(options: UploadsOptions) {
    this.#options = options;
    this.#folder = join(options.dataDir, 'uploads');
  }

  /** @throws import_limit, host_disk_full */
  async begin(): Promise<BoxImport> {
    this.#options.checkRoom();
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    if ((await this.#all()).length >= mostUploads) throw new ApiError('import_limit');
    const id = newId('imp');
    await writeFile(this.#path(id), '', { flag: 'wx', mode: 0o600 });
    return await this.find(id);
  }

  /** @throws import_not_found */
  async find(id: string): Promise<BoxImport> {
    const { size, mtimeMs } = await stat(this.#path(id)).catch(() => {
      throw new ApiError('import_not_found');
    });
    return { id, offset: size, expires: new Date(mtimeMs + uploadKeptMs).toISOString() };
  }

  /**
   * Adds a piece; it is on the disk when this resolves. What arrived before a body broke stays. A piece that still hangs, because
   * its connection died and nobody said so, is ended by the next one.
   * @throws import_not_found, import_offset, body_too_large, host_disk_full, and what the body throws
   */
  async append(id: string, offset: number, body: Readable, signal: AbortSignal): Promise<BoxImport> {
    return await this.#alone(id, async (own) => {
      const before = await this.find(id);
      if (before.offset !== offset)
        throw new ApiError('import_offset', `The host has ${before.offset} bytes of the file, and these begin at ${offset}.`);
      const file = createWriteStream(this.#path(id), { flags: 'a', flush: true });
      try {
        await pipeline(body, this.#bounded(offset), file, { signal: AbortSignal.any([signal, own]) });
      } catch (error) {
        own.throwIfAborted();
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw new ApiError('host_disk_full', undefined, { cause: error });
        throw error;
      }
      return await this.find(id);
    });
  }

  /** Does something with the file as it is then; nothing else touches it meanwhile. @param use gets its path */
  async use<T>(id: string, use: (path: string) => Promise<T>): Promise<T> {
    return await this.#alone(id, () => use(this.#path(id)));
  }

  /** @throws import_not_found */
  async remove(id: string): Promise<void> {
    await this.find(id);
    await this.#alone(id, () => this.drop(id));
  }

  /** For who has the file by {@link use}. */
  async drop(id: string): Promise<void> {
    await rm(this.#path(id), { force: true });
  }

  /** Removes what nobody went on with, and what is none of ours. */
  async prune(): Promise<void> {
    const known = new Set(await this.#all());
    for (const name of await readdir(this.#folder).catch(() => []))
      if (!known.has(name.slice(0, -'.part'.length))) await rm(join(this.#folder, name), { recursive: true, force: true });
    for (const id of known) {
      const found = this.#work.has(id) ? undefined : await this.find(id).catch(() => undefined);
      if (found !== undefined && Date.parse(found.expires) <= this.#options.now()) await this.#alone(id, () => this.drop(id));
    }
  }

  /** After what is done with the upload now, whose piece is ended. */
  async #alone<T>(id: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const before = this.#work.get(id);
    before?.abort.abort(new ApiError('import_offset', 'Another request goes on with this import.'));
    const abort = new AbortController();
    const mine = (before?.last ?? Promise.resolve()).then(() => work(abort.signal));
    const entry = { last: mine.catch(() => undefined), abort };
    this.#work.set(id, entry);
    try {
      return await mine;
    } finally {
      if (this.#work.get(id) === entry) this.#work.delete(id);
    }
  }

  /** Passes a body on, as long as there is room for it. */
  #bounded(offset: number): Transform {
    const { checkRoom } = this.#options;
    let [size, next] = [offset, 0];
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        size += chunk.byteLength;
        try {
          if (size > limits.uploadBytes) throw new ApiError('body_too_large');
          if (size >= next) checkRoom();
          if (size >= next) next = size + roomEachBytes;
          done(null, chunk);
        } catch (error) {
          done(error as ApiError);
        }
      },
    });
  }

  async #all(): Promise<string[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.filter((name) => /^imp_[a-z0-9]{12}\.part$/.test(name)).map((name) => name.slice(0, -'.part'.length));
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.part`);
  }
}
