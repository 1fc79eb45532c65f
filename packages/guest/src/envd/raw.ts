import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError } from '@citb/api';
import type { HttpContext } from '@citb/daemon';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type OpenFile, chunkBytes, errno } from '../tree/index.ts';

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

/**
 * Answers with `size` bytes of a file, which `headers` announce, from `start` on, and closes it. Two blocks of memory take turns: one is filled while the other is
 * sent. A fresh one for each read is garbage of which V8 sees only the outside: it collects all of its heap every few dozen MiB, a sixth of the
 * time of a download from an emulated guest. A client that leaves ends it quietly; a file that became shorter cuts the connection.
 */
export async function sendBlocks(
  c: HttpContext,
  status: number,
  headers: Readonly<Record<string, string | number>>,
  file: OpenFile,
  { start, size }: { start: number; size: number },
): Promise<Response> {
  const { outgoing } = rawOf(c);
  outgoing.writeHead(status, { 'X-Request-Id': c.get('requestId'), ...headers });
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  const blockBytes = Math.min(size, chunkBytes);
  let [block, other] = [Buffer.allocUnsafeSlow(blockBytes), Buffer.allocUnsafeSlow(blockBytes)];
  let sending = Promise.resolve();
  try {
    for (let read = 0; read < size; [block, other] = [other, block]) {
      const filled = await file.read(block.subarray(0, size - read), start + read);
      await sending;
      if (filled === 0) throw new Error('the file became shorter');
      read += filled;
      sending = written(outgoing, block.subarray(0, filled), gone.signal);
    }
    await sending;
    outgoing.end();
  } catch (error) {
    if (!gone.signal.aborted) c.get('log').warn({ err: error }, 'the answer broke off');
    outgoing.destroy();
  } finally {
    await file.close();
  }
  return RESPONSE_ALREADY_SENT;
}

/** Resolves when the kernel has the bytes, so that their memory may be used again. @throws when the connection is closed instead */
function written(outgoing: ServerResponse, bytes: Buffer, gone: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const leave = (): void => reject(new Error('the client left'));
  gone.addEventListener('abort', leave);
  outgoing.write(bytes, (error) => (error ? reject(error) : resolve()));
  if (gone.aborted) leave();
  // It is awaited after the next read, and must not count as unhandled until then.
  promise.catch(() => undefined).finally(() => gone.removeEventListener('abort', leave));
  return promise;
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
