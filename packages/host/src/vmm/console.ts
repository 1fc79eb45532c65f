import { connect, type Socket } from 'node:net';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { limits } from '@citb/api';
import { ByteRing } from './byte-ring.ts';

/** A flooding guest may cost one write of `limits.consoleBytes` in this time, in ms. */
const saveMs = 1000;

const file = (folder: string) => join(folder, 'console.log');
const earlierFile = (folder: string) => join(folder, 'console.previous.log');

/**
 * The serial console of a VM: read from the VMM's socket, the last `limits.consoleBytes` kept in memory and, at most once a
 * second, in `console.log` of the box's folder, for a daemon that comes later and for what happened just before a crash.
 * The guest is never made to wait. Lost is what it prints while no daemon reads (the VMM drops it), and at most the
 * last second when daemon and machine die together.
 */
export class Console {
  readonly #folder: string;
  readonly #ring = new ByteRing(limits.consoleBytes);
  readonly #decoder = new StringDecoder('utf8');
  readonly #listeners = new Set<(text: string) => void>();
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** The console of a new machine: what the one before it said moves to `console.previous.log`. */
  static async begin(folder: string, socketPath: string): Promise<Console> {
    await rename(file(folder), earlierFile(folder)).catch(ignoreMissing);
    const console = new Console(folder);
    await console.#connect(socketPath);
    return console;
  }

  /** The console of a machine that an earlier daemon began. */
  static async continue(folder: string, socketPath: string): Promise<Console> {
    const console = new Console(folder);
    console.#ring.push(await readFile(file(folder)).catch(() => Buffer.alloc(0)));
    await console.#connect(socketPath);
    return console;
  }

  text(): string {
    return this.#ring.bytes().toString('utf8');
  }

  onText(listener: (text: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Stops reading; what was read is in the file when it resolves. */
  async close(): Promise<void> {
    this.#socket?.destroy();
    await this.#saveNow();
  }

  async #connect(path: string): Promise<void> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve();
      });
    });
    this.#socket = socket;
    socket.unref();
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('close', () => void this.#saveNow());
  }

  #take(bytes: Buffer): void {
    this.#ring.push(bytes);
    this.#timer ??= setTimeout(() => void this.#saveNow(), saveMs).unref();
    if (this.#listeners.size === 0) return;
    const text = this.#decoder.write(bytes);
    for (const listener of this.#listeners) listener(text);
  }

  #saveNow(): Promise<void> {
    if (this.#timer === undefined) return this.#saving;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // A console that cannot be saved (disk full, folder gone) must not hurt the machine.
    this.#saving = this.#saving.then(() => save(this.#folder, this.#ring.bytes())).catch(() => {});
    return this.#saving;
  }
}

/** The console of the machine that ran last in a folder, also when it is gone. Empty when there was none. */
export async function readConsole(folder: string): Promise<string> {
  return readFile(file(folder), 'utf8').catch(() => '');
}

async function save(folder: string, bytes: Buffer): Promise<void> {
  const temporary = `${file(folder)}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(bytes);
  } finally {
    await handle.close();
  }
  await rename(temporary, file(folder));
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
