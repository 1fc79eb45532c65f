import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { VmmError } from '../vmm-error.ts';

/** QEMU answers in milliseconds; this is for a machine that is out of breath. */
const answerMs = 20_000;
/** Between two looks whether the socket is there: QEMU makes it some 40 ms after its start. */
const connectPauseMs = 2;
/** The longest line that is read, in bytes: answers that we ask for have a few hundred. */
const lineBytes = 1024 * 1024;

const message = z.union([
  z.object({ QMP: z.object({}) }),
  z.object({ event: z.string() }),
  z.object({ id: z.number(), error: z.object({ desc: z.string() }) }),
  z.object({ id: z.number(), return: z.unknown() }),
]);
type Message = z.infer<typeof message>;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * A client of QEMU's control socket (https://www.qemu.org/docs/master/interop/qmp-spec.html). QEMU serves one client at a time.
 * Keeps no event loop alive while it waits for nothing.
 */
export class Qmp {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #greeting = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #nextId = 1;
  #partial = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#greeting.promise.catch(() => {});
    socket.setEncoding('utf8').unref();
    socket.on('data', (text: string) => this.#read(text));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#end());
  }

  /**
   * Connects as soon as the socket is there and serves, and enters command mode.
   * @throws VmmError after `deadlineMs`, or the signal's reason
   */
  static async connect(path: string, deadlineMs: number, signal?: AbortSignal): Promise<Qmp> {
    const end = Date.now() + deadlineMs;
    for (;;) {
      signal?.throwIfAborted();
      const socket = await open(path);
      if (socket !== undefined) {
        const qmp = new Qmp(socket);
        try {
          await within(qmp.#greeting.promise, Math.max(1, end - Date.now()), 'a greeting', signal);
          await qmp.execute('qmp_capabilities');
          return qmp;
        } catch (error) {
          qmp.close();
          throw error;
        }
      }
      if (Date.now() > end) throw new VmmError(`QEMU has not opened its control socket ${path} within ${deadlineMs} ms`);
      await delay(connectPauseMs);
    }
  }

  /** Resolves when QEMU's side is gone. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** @returns what QEMU answers. @throws VmmError with QEMU's own words, or when it does not answer */
  async execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#socket.destroyed) throw new VmmError(`QEMU is gone (asked for ${command})`);
    this.#waiting.set(id, { resolve, reject: (error) => reject(new VmmError(`QEMU refused ${command}: ${error.message}`)) });
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    try {
      return await within(promise, answerMs, `an answer to ${command}`);
    } finally {
      this.#waiting.delete(id);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    if (this.#partial.length > lineBytes) this.#socket.destroy();
    for (const line of lines) {
      if (line.trim() === '') continue;
      const parsed = parseMessage(line);
      // QEMU is what a guest breaks out into first: a peer that does not keep to the protocol is cut off.
      if (parsed === undefined) return void this.#socket.destroy();
      this.#take(parsed);
    }
  }

  #take(received: Message): void {
    if ('QMP' in received) return this.#greeting.resolve();
    if ('event' in received) return;
    const waiting = this.#waiting.get(received.id);
    if ('error' in received) waiting?.reject(new Error(received.error.desc));
    else waiting?.resolve(received.return);
  }

  #end(): void {
    const gone = new VmmError('its control socket was closed');
    this.#greeting.reject(gone);
    for (const waiting of this.#waiting.values()) waiting.reject(gone);
    this.#closed.resolve();
  }
}

function parseMessage(line: string): Message | undefined {
  try {
    return message.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function open(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(error);
    });
  });
}

async function within<T>(promise: Promise<T>, ms: number, what: string, signal?: AbortSignal): Promise<T> {
  const over = new AbortController();
  const stop = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const late = async (): Promise<never> => {
    await delay(ms, undefined, { signal: stop }).catch(() => {});
    signal?.throwIfAborted();
    throw new VmmError(`QEMU hangs: no ${what.replace(/^an? /, '')} within ${ms} ms`);
  };
  try {
    return await Promise.race([promise, late()]);
  } finally {
    over.abort();
  }
}
