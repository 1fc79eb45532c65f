import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError, uploadAnswer, uploadProtocol } from '@citb/api';
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

/** A large file on its way into a guest. */
export interface GuestUpload extends Pick<GuestCall, 'path' | 'query'> {
  readonly body: Readable;
  /** Of the body, in bytes. */
  readonly size: number;
  /** The only bound in time. */
  readonly signal: AbortSignal;
}

/** Requests to one server in one guest. All fail with `ApiError`s only: the guest's own where it may say so, else `box_unreachable`. */
export interface GuestServer {
  /** The answer's JSON, checked by the contract. */
  json<T extends z.ZodType>(call: GuestCall, schema: T): Promise<z.output<T>>;
  /** For an answer whose body does not matter. */
  done(call: GuestCall): Promise<void>;
  /** A streamed answer (2xx). The caller reads or destroys the body. */
  open(call: GuestCall): Promise<GuestAnswer>;
  /**
   * `PUT`s a file by the contract's `uploadProtocol`. The answer's JSON, checked by the contract; undefined when the guest does not
   * speak that: nothing was sent then.
   */
  upload<T extends z.ZodType>(call: GuestUpload, schema: T): Promise<z.output<T> | undefined>;
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
      return checked(call.path, schema, parseJson(text.toString('utf8')));
    },
    async upload({ path, query, body, size, signal }, schema) {
      const text = await within({ signal, timeoutMs: null }, async () => {
        const upgrade = { method: 'PUT', path: path + queryString({ ...query, bytes: size }), protocol: uploadProtocol, signal };
        const switched = await pool.upgrade({ ...upgrade, headers: { 'x-access-token': token } }).catch(() => undefined);
        signal.throwIfAborted();
        return switched === undefined ? undefined : exchange(switched.socket, body, signal);
      });
      if (text === undefined) return undefined;
      const { status, body: answer } = checked(path, uploadAnswer, parseJson(text));
      if (status < 200 || status >= 300) throw guestError(status, JSON.stringify(answer));
      return checked(path, schema, answer);
    },
  };
}

/** @throws ApiError `box_unreachable` when the guest's answer is not as the contract has it */
function checked<T extends z.ZodType>(path: string, schema: T, answer: unknown): z.output<T> {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw unreachable(parsed.error, `A service in the box answered ${path} with something unexpected.`);
}

/** Sends all of a body, and reads what the guest says until it ends the connection, which it may do before it has all. */
async function exchange(socket: Duplex, body: Readable, signal: AbortSignal): Promise<string> {
  const answered = new AbortController();
  // It is reading and sending that fail; nobody else listens between the two.
  socket.on('error', () => socket.destroy());
  const sending = pipeline(body, socket, { end: false, signal: AbortSignal.any([signal, answered.signal]) }).catch((error: unknown) => {
    // `end: false` also means that it is left open.
    socket.destroy();
    return error;
  });
  try {
    return (await readAll(socket, defaults.errorBytes)).toString('utf8');
  } catch (error) {
    signal.throwIfAborted();
    const failed = await sending;
    // Why the body could not be had is why the connection broke.
    throw failed instanceof ApiError ? failed : error;
  } finally {
    answered.abort();
    socket.destroy();
  }
}

/** Runs a call under its deadline and its caller's signal. Everything that goes wrong comes out as an `ApiError`. */
async function within<T>(call: Pick<GuestCall, 'signal' | 'timeoutMs'>, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
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
async function readAll(body: Readable | Duplex, limit: number): Promise<Buffer> {
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
