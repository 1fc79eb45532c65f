import { type BigIntStats, readFileSync, statSync } from 'node:fs';
import { type GuestInit, guestInit } from '@citb/api';

/**
 * What envd's `POST /init` brought, read from the file that it writes. Looks at the file whenever it is asked and reads
 * it again when it changed; a file that cannot be read or parsed leaves the last good one in force.
 */
export class InitFile {
  readonly #path: string;
  #seen = '';
  #init: GuestInit | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined before the first `POST /init`. */
  current(): GuestInit | undefined {
    const stats = this.#stat();
    if (stats === undefined) return this.#init;
    const seen = `${stats.ino}:${stats.mtimeNs}:${stats.size}`;
    if (seen === this.#seen) return this.#init;
    const parsed = this.#read();
    if (parsed === undefined) return this.#init;
    this.#seen = seen;
    this.#init = parsed;
    return parsed;
  }

  #stat(): BigIntStats | undefined {
    return statSync(this.#path, { bigint: true, throwIfNoEntry: false });
  }

  #read(): GuestInit | undefined {
    try {
      return guestInit.parse(JSON.parse(readFileSync(this.#path, 'utf8')));
    } catch {
      return undefined;
    }
  }
}
