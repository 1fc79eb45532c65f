import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type Dispatcher, request as httpRequest } from 'undici';
import type { z } from 'zod';
import { ConnectionError, errorFromAnswer, isTransient, parseJson } from './errors.ts';

export interface ApiRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** What is `undefined` is left out; a list gives its name several times. */
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; a stream is sent once and never again. */
  readonly body?: Readable | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** Makes a POST safe to repeat: the host does the work once for each key. */
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Statuses of 400 and more whose body is an answer and not an error. */
  readonly expectStatus?: readonly number[];
  /** How long the answer's head may take, ms. Default {@link startWithinMs}; creating a box can mean building its image first. */
  readonly answerWithinMs?: number;
  /** How long the answer's body may be silent, ms. Default 60 s: streams of the host carry a heartbeat each 15 s. */
  readonly silenceMs?: number;
}

/** Any request of a box may have to boot it first, and boots may wait for each other: minutes under emulation. */
export const startWithinMs = 10 * 60_000;
/** Attempts of a request that is safe to repeat, and the pause before the second; it doubles. */
const attempts = 3;
const firstPauseMs = 200;
/** An error answer is some hundred bytes; more is not ours. */
const errorAnswerBytes = 64 * 1024;

/** HTTP to one host: address, key, error table, and repeats where they can do no harm. */
export class Connection implements AsyncDisposable {
  readonly url: URL;
  readonly #apiKey: string | undefined;
  readonly #agent: Agent;

  constructor(url: URL, apiKey: string | undefined) {
    this.url = url;
    this.#apiKey = apiKey;
    this.#agent = new Agent({ connect: { timeout: 10_000 } });
  }

  /** Headers that prove who asks; also for the terminal's WebSocket. */
  authorization(): Record<string, string> {
    return this.#apiKey === undefined || this.#apiKey === '' ? {} : { 'x-api-key': this.#apiKey };
  }

  /** The answer's JSON, checked by the contract. @throws ApiError, ConnectionError */
  async json<T extends z.ZodType>(path: string, schema: T, request: ApiRequest = {}): Promise<z.output<T>> {
    const answer = await this.send(path, request);
    const text = await answer.body.text().catch((cause: unknown) => this.#broken(cause, request.signal));
    const parsed = schema.safeParse(parseJson(text));
    if (!parsed.success) {
      throw new ConnectionError('protocol', `The host's answer to ${path} does not have the expected form.`, { cause: parsed.error });
    }
    return parsed.data;
  }

  /** For answers without a body. @throws ApiError, ConnectionError */
  async none(path: string, request: ApiRequest): Promise<void> {
    const answer = await this.send(path, request);
    await answer.body.dump();
  }

  /**
   * The answer, when its status is below 400; the caller reads its body. Reads, HEADs and what carries an idempotency key are
   * repeated on a broken connection; nothing else is.
   * @throws ApiError, ConnectionError
   */
  async send(path: string, request: ApiRequest = {}): Promise<Dispatcher.ResponseData> {
    const method = request.method ?? 'GET';
    const repeatable = method === 'GET' || method === 'HEAD' || request.idempotencyKey !== undefined;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(path, method, request);
      } catch (error) {
        if (!repeatable || attempt >= attempts || !isTransient(error)) throw error;
        await sleep(firstPauseMs * 2 ** (attempt - 1), undefined, { ...(request.signal && { signal: request.signal }) });
      }
    }
  }

  async #once(path: string, method: Dispatcher.HttpMethod, request: ApiRequest): Promise<Dispatcher.ResponseData> {
    const url = this.address(path, request.query);
    const answer = await httpRequest(url, {
      method,
      headers: {
        ...this.authorization(),
        ...(request.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(request.idempotencyKey === undefined ? {} : { 'idempotency-key': request.idempotencyKey }),
        ...request.headers,
      },
      body: request.json === undefined ? (request.body ?? null) : JSON.stringify(request.json),
      signal: request.signal ?? null,
      dispatcher: this.#agent,
      headersTimeout: request.answerWithinMs ?? startWithinMs,
      bodyTimeout: request.silenceMs ?? 60_000,
    }).catch((cause: unknown) => this.#broken(cause, request.signal));
    if (answer.statusCode < 400 || request.expectStatus?.includes(answer.statusCode) === true) return answer;
    throw errorFromAnswer(answer.statusCode, await readBounded(answer.body), url);
  }

  /** The URL of a route. `path` begins with "/" and is already encoded. */
  address(path: string, query: ApiRequest['query'] = {}): URL {
    const url = new URL(`${this.url.pathname.replace(/\/$/, '')}${path}`, this.url);
    for (const [name, value] of Object.entries(query)) {
      const values = typeof value === 'object' ? value : value === undefined ? [] : [String(value)];
      for (const each of values) url.searchParams.append(name, each);
    }
    return url;
  }

  #broken(cause: unknown, signal: AbortSignal | undefined): never {
    throw brokenConnection(this.url, cause, signal);
  }

  /** Closes idle connections; running requests end first. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.close();
  }
}

/** The caller's own abort stays what it is; anything else is a connection that broke. */
export function brokenConnection(url: URL, cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason;
  const why = cause instanceof Error ? describe(cause) : String(cause);
  return new ConnectionError('unreachable', `There is no connection to the host at ${url.origin} (${why}).`, { cause });
}

function describe(cause: Error): string {
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return describe(cause.errors[0]);
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND') return 'unknown host name';
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_CONNECT_TIMEOUT')
    return 'no answer in time';
  return cause.message === '' ? code : cause.message;
}

async function readBounded(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > errorAnswerBytes) break;
    }
  } catch {
    // The status is known; a body that breaks off only loses the words.
  }
  return Buffer.concat(chunks).toString('utf8');
}
