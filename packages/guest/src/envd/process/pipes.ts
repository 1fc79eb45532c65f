import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { guestPaths } from '@citb/api';
import { freshUuid } from '../../fresh-uuid.ts';
import type { Owner } from '../../tree/index.ts';

/** Descriptors of both ends. Whoever gets them closes them. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** Made at once: one mkfifo(1) for eight processes. */
const batch = 16;

/** The image's own mkfifo, else that of the guest tools. */
const makers = [['mkfifo'], [join(guestPaths.tools, 'bin/busybox'), 'mkfifo']] as const;

/**
 * Real pipes for what programs print. What Node gives a child as a "pipe" is a socket, and Linux does not let a
 * program open that again: in such a child `echo >/dev/stderr` fails. Node has no pipe(2) either, so a pipe here is a
 * named one whose name is removed as soon as both ends are open; it belongs to the user of the child, who may open it again.
 * Not for input: opening a named pipe again for reading waits for a writer, for ever when all was written before.
 */
export class Pipes {
  readonly #folder: string;
  readonly #names: string[] = [];
  #making: Promise<void> | undefined;

  /** @param folder for the names, for the short time that they are there */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes pipes ahead, so that the next process need not wait for them. */
  async prepare(): Promise<void> {
    this.#making ??= this.#make().finally(() => (this.#making = undefined));
    await this.#making;
  }

  /** Resolves when none are being made any more, and removes those that nobody wants now. */
  async close(): Promise<void> {
    await this.#making?.catch(() => undefined);
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** @throws the system error when there is no mkfifo(1), no disk or no descriptor left */
  async open(owner: Owner | undefined): Promise<Pipe> {
    while (this.#names.length === 0) await this.prepare();
    const name = this.#names.pop() ?? '';
    if (this.#names.length < batch / 3) void this.prepare().catch(() => undefined);
    try {
      if (owner !== undefined) await chown(name, owner.uid, owner.gid);
      return openBoth(name);
    } finally {
      await rm(name, { force: true });
    }
  }

  async #make(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const names = Array.from({ length: batch }, () => join(this.#folder, freshUuid()));
    const options = ['-m', '600', ...names];
    const [[own], [tools, applet]] = makers;
    await promisify(execFile)(own, options).catch(() => promisify(execFile)(tools, [applet, ...options]));
    this.#names.push(...names);
  }
}

/** None of these opens waits: the first by its flag, the others because the opposite end is there. */
function openBoth(name: string): Pipe {
  const first = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const write = openSync(name, constants.O_WRONLY);
    try {
      return { write, read: openSync(name, constants.O_RDONLY) };
    } catch (error) {
      closeSync(write);
      throw error;
    }
  } finally {
    closeSync(first);
  }
}
