import type { Readable } from 'node:stream';
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from '@citb/api';
import type { Pool } from 'undici';
import type { z } from 'zod';
import { guestError, parseJson, unreachable } from './errors.ts';

/** One request to a server in the guest. */
export interface GuestCall {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** A value is sent as JSON; `text` is JSON already; a stream goes as it is. */
  readonly body?: { readonly json: unknown } | { readonly text: string } | { readonly stream: Readable; readonly size: number | undefined };
  readonly signal?: AbortSignal | undefined;
  /** For the whole of a JSON call, or until the headers of a streamed answer; `null`: the signal is the only bound. Default 30 s. */
  readonly timeoutMs?: number | null;
  /** Largest JSON answer in bytes. Default 1 MiB. */
  readonly maxBytes?: number;
  /** A streamed answer that is silent for so long is cut. Default 60 s. Waiting for a slow reader does not count. */
  readonly stallMs?: number;
}

export interface GuestAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Fails when the guest goes silent or ends early. */
  readonly body: Readable;
}

/** Requests to one server in one guest. All fail with `ApiError`s only: the guest's own where it may say so, else `box_unreachable`. */
export interface GuestServer {
  /** The answer's JSON, checked by the contract. */
  json<T extends z.ZodType>(call: GuestCall, schema: T): Promise<z.output<T>>;
  /** For an answer whose body does not matter. */
  done(call: GuestCall): Promise<void>;
  /** A streamed answer (2xx). The caller reads or destroys the body. */
  open(call: GuestCall): Promise<GuestAnswer>;
}

const defaults = { timeoutMs: 30_000, maxBytes: 1024 * 1024, stallMs: 60_000, errorBytes: 64 * 1024 };

/** @param token of the box, sent as `X-Access-Token` */
export function guestServer(pool: Pool, token: string): GuestServer {
  async function send(call: GuestCall, signal: AbortSignal): Promise<GuestAnswer> {
    const { headers, body } = requestBody(call);
    const answer = await pool.request({
      method: call.method,
      path: call.path + queryString(call.query),
      headers: { 'x-access-token': token, ...headers, ...call.headers },
      body,
      signal,
      // The deadline is ours: it also covers the connection and a guest that sends one informational answer after another.
      headersTimeout: 0,
      bodyTimeout: call.stallMs ?? defaults.stallMs,
    });
    // undici reports a body that is given up as its error; nobody may be listening by then.
    answer.body.on('error', () => undefined);
    const { statusCode: status, headers: answered } = answer;
    if (status >= 200 && status < 300) return { status, headers: answered, body: answer.body };
    throw guestError(status, (await readAll(answer.body, defaults.errorBytes)).toString('utf8'));
  }

  return {
    open: (call) => within(call, (signal) => send(call, signal)),
    async done(call) {
      await within(call, async (signal) => readAll((await send(call, signal)).body, call.maxBytes ?? defaults.maxBytes));
    },
    async json(call, schema) {
      const text = await within(call, async (signal) => readAll((await send(call, signal)).body, call.maxBytes ?? defaults.maxBytes));
      const parsed = schema.safeParse(parseJson(text.toString('utf8')));
      if (!parsed.success) throw unreachable(parsed.error, `A service in the box answered ${call.path} with something unexpected.`);
      return parsed.data;
    },
  };
}

/** Runs a call under its deadline and its caller's signal. Everything that goes wrong comes out as an `ApiError`. */
async function within<T>(call: GuestCall, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const deadline = new AbortController();
  const ms = call.timeoutMs === undefined ? defaults.timeoutMs : call.timeoutMs;
  const timer = ms === null ? undefined : setTimeout(() => deadline.abort(new ApiError('box_unreachable', silence(ms))), ms);
  try {
    return await work(call.signal === undefined ? deadline.signal : AbortSignal.any([call.signal, deadline.signal]));
  } catch (error) {
    throw unreachable(deadline.signal.aborted ? deadline.signal.reason : error);
  } finally {
    clearTimeout(timer);
  }
}

function silence(ms: number): string {
  return `The box did not answer within ${Math.ceil(ms / 1000)} s.`;
}

function requestBody(call: GuestCall): { headers: Record<string, string>; body: string | Readable | null } {
  if (call.body === undefined) return { headers: {}, body: null };
  if ('text' in call.body) return { headers: { 'content-type': 'application/json' }, body: call.body.text };
  if ('json' in call.body) return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(call.body.json) };
  const { stream, size } = call.body;
  return {
    headers: { 'content-type': 'application/octet-stream', ...(size === undefined ? {} : { 'content-length': String(size) }) },
    body: stream,
  };
}

function queryString(query: GuestCall['query']): string {
  const given = Object.entries(query ?? {}).filter((pair): pair is [string, string | number | boolean] => pair[1] !== undefined);
  if (given.length === 0) return '';
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()}`;
}

/** Reads a body to its end. @throws ApiError `box_unreachable` when it is larger than `limit` */
async function readAll(body: Readable, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop destroys the body, and with it the connection.
    if (size > limit) throw new ApiError('box_unreachable', `A service in the box sent more than ${limit} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
