import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from '../vm/harness.ts';
import type { Daemon } from './daemon.ts';
import { Violation } from './violation.ts';

/** An answer of the API: `code` is `ok` or the code of the error. */
export interface Answer {
  readonly code: string;
  readonly status: number;
  readonly body: Buffer;
}

/** `undefined`: there was no answer, and nobody knows what came of the request. */
export type Outcome = Answer | undefined;

export interface Sent {
  readonly json?: unknown;
  readonly bytes?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A caller of the public API. */
export class Client {
  readonly #daemon: Daemon;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /**
   * Waits for a daemon that listens, then asks once; again when the host has no memory, until a box that rests makes room.
   * @throws Violation when it neither answers nor ends, and when no room comes
   */
  async ask(method: string, path: string, sent: Sent = {}): Promise<Outcome> {
    const end = performance.now() + patience;
    for (;;) {
      const outcome = await this.#once(method, path, sent);
      if (outcome?.code !== 'host_full') return outcome;
      if (performance.now() > end) throw new Violation(`${method} ${path} finds the host full for ${patience} ms`);
      await sleep(100);
    }
  }

  async #once(method: string, path: string, sent: Sent): Promise<Outcome> {
    try {
      const response = await this.open(method, path, sent);
      const body = Buffer.from(await response.arrayBuffer());
      return { code: response.ok ? 'ok' : codeOf(body), status: response.status, body };
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') throw new Violation(`${method} ${path} has had no answer for ${patience} ms`);
      if (error instanceof Violation) throw error;
      return undefined;
    }
  }

  /** The response as it comes. @throws what fetch does when the connection fails */
  async open(method: string, path: string, { json, bytes, headers = {} }: Sent = {}): Promise<Response> {
    const url = await this.#daemon.up();
    return await fetch(url + path, {
      method,
      headers: { 'X-API-Key': this.#daemon.key, ...(json === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: json === undefined ? (bytes === undefined ? null : new Uint8Array(bytes)) : JSON.stringify(json),
      signal: AbortSignal.timeout(patience),
    });
  }

  /** Again and again until there is an answer: for requests of which the same one again is the same one. */
  async insist(method: string, path: string, sent: Sent = {}): Promise<Answer> {
    for (;;) {
      const outcome = await this.ask(method, path, sent);
      if (outcome !== undefined) return outcome;
    }
  }
}

// eslint-disable-next-line typescript/no-unnecessary-type-parameters
export function jsonOf<T>(answer: Answer): T {
  return JSON.parse(answer.body.toString()) as T;
}

function codeOf(body: Buffer): string {
  try {
    return (JSON.parse(body.toString()) as { error: { code: string } }).error.code;
  } catch {
    return 'no error body';
  }
}
