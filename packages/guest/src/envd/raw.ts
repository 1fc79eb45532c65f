import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError } from '@citb/api';
import type { HttpContext } from '@citb/daemon';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { errno } from '../tree/index.ts';

/**
 * Node's own request and response. File contents go through these and not through web streams, which cost twice the
 * time for each chunk, and emulated guests have little of it.
 */
export function rawOf(c: HttpContext): { incoming: IncomingMessage; outgoing: ServerResponse } {
  // Put there by @hono/node-server; the shared HTTP assembly knows nothing of it.
  return c.env as HttpBindings;
}

/**
 * Answers with a stream of bytes. A client that leaves ends it quietly; a stream that fails half-way, or is shorter
 * than announced, cuts the connection, so that the client notices.
 */
export async function sendStream(
  c: HttpContext,
  status: number,
  headers: Readonly<Record<string, string | number>>,
  body: Readable | undefined,
): Promise<Response> {
  const { outgoing } = rawOf(c);
  outgoing.writeHead(status, { 'X-Request-Id': c.get('requestId'), ...headers });
  const expected = headers['Content-Length'];
  let sent = 0;
  body?.on('data', (chunk: Buffer) => (sent += chunk.length));
  try {
    if (body === undefined) outgoing.end();
    else await pipeline(body, outgoing, { end: false });
    if (body !== undefined && expected !== undefined && sent !== expected) outgoing.destroy();
    else outgoing.end();
  } catch (error) {
    if (!outgoing.destroyed) c.get('log').warn({ err: error }, 'the answer broke off');
    outgoing.destroy();
  }
  return RESPONSE_ALREADY_SENT;
}

/** Runs `work` on the request's body. A client that leaves half-way is no failure of ours. */
export async function withBody<T>(c: HttpContext, work: (body: IncomingMessage) => Promise<T>): Promise<T> {
  const { incoming } = rawOf(c);
  try {
    return await work(incoming);
  } catch (error) {
    if (errno(error) === 'ECONNRESET' || errno(error) === 'ABORT_ERR' || errno(error) === 'ERR_STREAM_PREMATURE_CLOSE')
      throw new ApiError('invalid_request', 'The body broke off.', { cause: error });
    throw error;
  }
}
