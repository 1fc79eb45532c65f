import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import { exportBounds, type exportEnd } from '@citb/api';
import tar from 'tar-stream';
import type { z } from 'zod';

const compress = promisify(zstdCompress);
/** Fast: what is exported is mostly compressed or short. */
const options = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Writes the entries of an exported box into a file, with the record at the end that makes it whole. */
export class ArchiveWriter {
  readonly #pack = tar.pack();
  readonly #total = createHash('sha256');
  readonly #whole: Hash = createHash('sha256');
  readonly #written: Promise<void>;
  #entries = 0;
  #failed: unknown;

  constructor(path: string) {
    const whole = this.#whole;
    const hashing = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        whole.update(chunk);
        done(null, chunk);
      },
    });
    this.#written = pipeline(this.#pack, hashing, createWriteStream(path, { mode: 0o600, flags: 'wx', flush: true }));
    this.#written.catch((error: unknown) => (this.#failed = error));
  }

  /** Resolves when there is room for the next one. @throws what writing the file throws */
  async add(name: string, content: Buffer): Promise<void> {
    if (content.length > exportBounds.entryBytes) throw new Error(`the entry ${name} has ${content.length} bytes`);
    this.#total.update(`${name}\0`).update(createHash('sha256').update(content).digest());
    this.#entries += 1;
    await this.#put(name, content);
  }

  async addCompressed(name: string, content: Buffer): Promise<void> {
    await this.add(name, await compress(content, options));
  }

  /** @returns the hash of the whole file, which is on the disk */
  async end(): Promise<string> {
    const end: z.input<typeof exportEnd> = { entries: this.#entries, sha256: this.#total.digest('hex') };
    await this.#put('end.json', Buffer.from(JSON.stringify(end)));
    this.#pack.finalize();
    await this.#written;
    return this.#whole.digest('hex');
  }

  /** Ends without a whole file. */
  async abandon(): Promise<void> {
    this.#pack.destroy();
    await this.#written.catch(() => undefined);
  }

  /** The same time and owner for all: they say nothing. */
  async #put(name: string, content: Buffer): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    const put = new Promise<void>((resolve, reject) => {
      this.#pack.entry({ name, mode: 0o600, mtime: new Date(0) }, content, (error) => (error == null ? resolve() : reject(error)));
    });
    await Promise.race([put, this.#written]);
  }
}
