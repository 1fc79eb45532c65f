import { PassThrough, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TerminalControl, ApiError, limits, terminalClose, terminalControl } from '@citb/api';
import { WebSocket } from 'ws';
import type { Connection } from './connection.ts';
import { ConnectionError, isTransient, parseJson } from './errors.ts';
import { dialWebSocket } from './websocket.ts';

export interface TerminalOptions {
  readonly cols?: number | undefined;
  readonly rows?: number | undefined;
  /** Joins a terminal that is already open: its program outlives the connection. */
  readonly pid?: number | undefined;
  /** Default `user`. */
  readonly user?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long a broken connection tries to come back, ms. Default 30 s; 0: not at all. */
  readonly reconnectMs?: number | undefined;
  /** Comes back also when somebody paused the box, which wakes it. Default: the terminal ends then. */
  readonly keepAwake?: boolean | undefined;
  /** Told when the connection broke and when it is back. */
  readonly onConnection?: ((state: 'broken' | 'back') => void) | undefined;
}

const longestPauseMs = 2_000;

/**
 * A terminal in a box: bytes both ways, size, exit code. When the connection breaks it joins the same program again; what was
 * printed or typed meanwhile is lost. A box that somebody paused is left asleep: the terminal ends with `box_paused`.
 */
export class Terminal implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #path: string;
  readonly #options: TerminalOptions;
  readonly #output = new PassThrough();
  readonly #exit = Promise.withResolvers<number | null>();
  readonly #left = new AbortController();
  #socket: WebSocket | undefined;
  #size: { cols: number; rows: number };
  #pid: number | undefined;

  private constructor(connection: Connection, path: string, options: TerminalOptions) {
    this.#connection = connection;
    this.#path = path;
    this.#options = options;
    this.#size = { cols: options.cols ?? 80, rows: options.rows ?? 24 };
    this.#pid = options.pid;
    // Who only reads the output learns of the end there, and who only waits for the exit here.
    this.#exit.promise.catch(() => undefined);
    this.#output.on('error', () => undefined);
  }

  /** Opens or joins; resolves when the program runs. @throws ApiError, ConnectionError */
  static async open(connection: Connection, path: string, options: TerminalOptions): Promise<Terminal> {
    const terminal = new Terminal(connection, path, options);
    await terminal.#join();
    options.signal?.addEventListener('abort', () => terminal.#leave(), { once: true });
    return terminal;
  }

  /** Process id of the program in the box. */
  get pid(): number {
    return this.#pid ?? 0;
  }

  /** What the terminal prints, until its program ends. */
  get output(): Readable {
    return this.#output;
  }

  /** Resolves when the program ended; `null`: by a signal, or the terminal was left. @throws ApiError, ConnectionError */
  get exitCode(): Promise<number | null> {
    return this.#exit.promise;
  }

  /** What is typed. Lost while the connection is broken. */
  write(data: string | Uint8Array): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const bytes = Buffer.from(data as Uint8Array);
    for (let at = 0; at < bytes.byteLength; at += limits.frameBytes) this.#socket.send(bytes.subarray(at, at + limits.frameBytes));
  }

  resize(cols: number, rows: number): void {
    this.#size = { cols, rows };
    const control: TerminalControl = { type: 'resize', cols, rows };
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(control));
  }

  /** Leaves; the program goes on and can be joined by its `pid`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
  }

  async #join(): Promise<void> {
    const url = this.#connection.address(this.#path, { ...this.#size, pid: this.#pid, user: this.#options.user });
    const started = Promise.withResolvers<void>();
    const receive = (socket: WebSocket, data: Buffer, isBinary: boolean): void => {
      if (isBinary) return this.#print(socket, data);
      const control = terminalControl.safeParse(parseJson(data.toString('utf8'))).data;
      if (control?.type === 'start') {
        this.#pid = control.pid;
        started.resolve();
      }
      if (control?.type === 'exit') this.#end(control.exit_code);
    };
    const socket = await dialWebSocket(this.#connection, url, receive, this.#options.signal);
    this.#socket = socket;
    const gone = Promise.withResolvers<never>();
    socket.once('close', (code, reason) => gone.reject(closed(code, reason.toString('utf8'))));
    await Promise.race([started.promise, gone.promise]);
    gone.promise.catch(async (cause: Error) => {
      if (this.#left.signal.aborted) return;
      if (cause instanceof ApiError && !(cause.code === 'box_paused' && this.#options.keepAwake === true)) this.#fail(cause);
      else await this.#rejoin(cause);
    });
  }

  /** Back to the same program; gives up after `reconnectMs`, or when the host says that it is gone. */
  async #rejoin(cause: Error): Promise<void> {
    this.#options.onConnection?.('broken');
    const deadline = performance.now() + (this.#options.reconnectMs ?? 30_000);
    let last = cause;
    for (let pause = 100; performance.now() < deadline && !this.#left.signal.aborted; pause = Math.min(pause * 2, longestPauseMs)) {
      await sleep(pause);
      try {
        await this.#join();
        this.#options.onConnection?.('back');
        return;
      } catch (error) {
        last = error as Error;
        if (!isTransient(error)) break;
      }
    }
    if (last instanceof ApiError && last.code === 'process_not_found') this.#end(null);
    else this.#fail(last);
  }

  #print(socket: WebSocket, data: Buffer): void {
    if (this.#output.writableEnded || this.#output.write(data)) return;
    socket.pause();
    this.#output.once('drain', () => socket.resume());
  }

  #leave(): void {
    this.#end(null);
    this.#socket?.close(1000);
  }

  #end(exitCode: number | null): void {
    this.#left.abort();
    this.#exit.resolve(exitCode);
    this.#output.end();
    this.#socket?.close(1000);
  }

  #fail(error: Error): void {
    this.#left.abort();
    this.#exit.reject(error);
    this.#output.destroy(error);
  }
}

function closed(code: number, reason: string): ApiError | ConnectionError {
  if (code === terminalClose.paused) return new ApiError('box_paused');
  if (code === terminalClose.stopped) return new ApiError('box_stopped');
  return new ConnectionError('unreachable', `The connection to the terminal broke (${reason === '' ? `code ${code}` : reason}).`);
}
