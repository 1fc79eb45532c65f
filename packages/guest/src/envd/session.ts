import { timingSafeEqual } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { chmod, chown, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError, type GuestInit, guestInit } from '@citb/api';

export interface SessionOptions {
  /** Folder of `init.json`, on a tmpfs. */
  readonly folder: string;
  /** Group that may read it: the agent server's. Only root can give it away; undefined elsewhere. */
  readonly gid?: number | undefined;
}

/**
 * What `POST /init` brought: the token that guards this box, its environment, its settings. Kept in a file, from which
 * envd has it again after a restart, and which the agent server reads.
 */
export class Session {
  readonly #options: SessionOptions;
  #init: GuestInit | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier envd of this boot was told. A file that does not parse counts as none. Call it before `accept`. */
  async load(): Promise<void> {
    const { folder, gid } = this.#options;
    await mkdir(folder, { recursive: true });
    if (gid !== undefined) await chown(folder, 0, gid);
    // Set-group-ID: what is made in it is the group's, too.
    await chmod(folder, gid === undefined ? 0o750 : 0o2750);
    const text = await readFile(this.#path, 'utf8').catch(() => undefined);
    if (text === undefined) return;
    try {
      this.#init = guestInit.parse(JSON.parse(text));
    } catch {
      this.#init = undefined;
    }
  }

  /** Undefined until the first `/init`. */
  get init(): GuestInit | undefined {
    return this.#init;
  }

  /** True for the box's token; never before the first `/init`. Takes the same time for every wrong token of its length, which is no secret. */
  admits(token: string | undefined): boolean {
    if (this.#init === undefined || token === undefined) return false;
    const [known, given] = [Buffer.from(this.#init.accessToken), Buffer.from(token)];
    return known.length === given.length && timingSafeEqual(known, given);
  }

  /**
   * The first call takes the box; later ones must carry its token and may replace it.
   * @throws ApiError `unauthorized` when somebody else was first
   */
  accept(init: GuestInit, token: string | undefined): void {
    if (this.#init !== undefined && !this.admits(token))
      throw new ApiError('unauthorized', 'This box has been taken: the access token is missing or wrong.', {
        hint: 'Send X-Access-Token.',
      });
    this.#init = init;
  }

  get #path(): string {
    return join(this.#options.folder, 'init.json');
  }

  /** Keeps what was accepted for the next envd, and tells the agent server. */
  save(): void {
    if (this.#init === undefined) return;
    // Used once; entropy is nobody's business afterwards.
    const { entropy: _entropy, openConnections: _connections, ...kept } = this.#init;
    const temporary = `${this.#path}.new`;
    writeFileSync(temporary, JSON.stringify(kept), { mode: 0o640 });
    renameSync(temporary, this.#path);
  }
}
