import type { IncomingMessage, ServerResponse } from 'node:http';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errors, type Dispatcher } from 'undici';
import { guestHeaders, upstreamHeaders } from './headers.ts';
import type { Ledger } from './ledger.ts';
import { refusals, refuse } from './refusal.ts';
import { upstreamError } from './upstream-error.ts';
import { usageMeter } from './usage-meter.ts';

/** Largest body of a model request in bytes; Anthropic's own bound is 32 MB. */
export const maxBodyBytes = 64 * 1024 * 1024;
/** A model may think this long before its first byte, and between two, in ms. */
const silenceMs = 10 * 60_000;
/** Upstream errors are small; what is longer is not read. */
const maxErrorBytes = 64 * 1024;

export interface Upstream {
  readonly dispatcher: Dispatcher;
  readonly origin: string;
  /** Path before `/v1/…`, without a trailing slash. */
  readonly prefix: string;
  /** Names of the endpoint that a guest need not know. */
  readonly names: readonly string[];
}

class BodyTooLarge extends Error {}

/**
 * Sends a guest's request upstream with the host's key, and the answer back as it comes. Ends the upstream request when the
 * guest goes away. Never rejects: what goes wrong is the guest's answer.
 */
export async function forward(
  { dispatcher, origin, prefix, names }: Upstream,
  request: IncomingMessage,
  response: ServerResponse,
  { boxId, key, path, ledger }: { boxId: string; key: string; path: string; ledger: Ledger },
): Promise<void> {
  const left = new AbortController();
  response.once('close', () => left.abort());
  try {
    const answer = await dispatcher.request({
      origin,
      path: prefix + path,
      method: request.method === 'POST' ? 'POST' : 'GET',
      headers: { ...upstreamHeaders(request.headers, key), ...lengthOf(request) },
      body: request.method === 'POST' ? bounded(request, left.signal) : null,
      signal: left.signal,
      headersTimeout: silenceMs,
      bodyTimeout: silenceMs,
    });
    // undici reports a body that is given up as its error; nobody may be listening by then.
    answer.body.on('error', () => undefined);
    if (answer.statusCode < 200 || answer.statusCode >= 300) {
      const text = await beginning(answer.body);
      return refuse(response, upstreamError(answer.statusCode, answer.headers, text, [key, ...names]));
    }
    response.writeHead(answer.statusCode, guestHeaders(answer.headers));
    response.flushHeaders();
    const { stream, usage } = usageMeter();
    await pipeline(answer.body, stream, response);
    ledger.add(boxId, usage);
  } catch (error) {
    if (!response.destroyed) refuse(response, refusalOf(error));
  }
}

/** The body's length where the guest states one; node has held the guest to it. */
function lengthOf({ method, headers }: IncomingMessage): Record<string, string> {
  const length = headers['content-length'];
  return method === 'POST' && length !== undefined ? { 'content-length': length } : {};
}

function refusalOf(error: unknown): Parameters<typeof refuse>[1] {
  if (error instanceof BodyTooLarge) return refusals.tooLarge;
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) return refusals.silent;
  return refusals.unreachable;
}

/** The guest's body, byte for byte, up to the bound. */
function bounded(request: IncomingMessage, signal: AbortSignal): Readable {
  let seen = 0;
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen > maxBodyBytes) done(new BodyTooLarge());
      else done(null, chunk);
    },
  });
  // It may fail when the HTTP client has already given it up.
  body.on('error', () => undefined);
  // A guest that sends half a body and goes: the error ends the upstream request through `body`.
  pipeline(request, body, { signal }).catch(() => undefined);
  return body;
}

/** The first bytes of an error's body; the rest is left. */
async function beginning(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxErrorBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}
