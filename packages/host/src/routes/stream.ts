import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { ApiError } from '@citb/api';
import { type HttpContext, toApiError } from '@citb/daemon';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { StreamFormat } from './format.ts';
import { nodeOf } from './node.ts';

/** What streams share: the end of the server, and the times of `limits` (shorter ones for tests). */
export interface StreamSettings {
  readonly stopping: AbortSignal;
  readonly heartbeatMs: number;
  readonly stallMs: number;
}

interface StreamOptions<T> {
  readonly format: StreamFormat<T>;
  readonly status?: 200 | 201;
  readonly headers?: Readonly<Record<string, string>>;
  /** Wait for the first item before the answer begins, so that what is wrong from the start is an HTTP error. */
  readonly prime?: boolean;
}

/**
 * Streams items as they come, each flushed at once. Nothing is taken from the source while the client does not read; a client
 * that takes nothing for `stallMs` has its stream ended. The source's signal is aborted when the client leaves.
 * @param open gets the source; `undefined` items are heartbeats
 */
export async function streamItems<T>(
  c: HttpContext,
  settings: StreamSettings,
  open: (signal: AbortSignal) => AsyncIterable<T | undefined>,
  options: StreamOptions<T>,
): Promise<Response> {
  const { format } = options;
  const headers = { 'Content-Type': format.contentType, 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no', ...options.headers };
  if (c.req.method === 'HEAD') return c.body(null, options.status ?? 200, headers);

  const { outgoing } = nodeOf(c);
  using left = abortOnClose(outgoing);
  const signal = AbortSignal.any([left.signal, settings.stopping]);
  const source = open(signal)[Symbol.asyncIterator]();
  try {
    let first = options.prime === true ? await source.next() : undefined;
    outgoing.writeHead(options.status ?? 200, headers);
    outgoing.flushHeaders();
    await send(outgoing, format.prologue, settings.stallMs);
    for (;;) {
      const next = first ?? (await nextOrQuiet(source, outgoing, settings, format.heartbeat, signal));
      first = undefined;
      if (next.done === true) break;
      await send(outgoing, next.value === undefined ? format.heartbeat : format.item(next.value), settings.stallMs);
    }
  } catch (error) {
    if (!outgoing.headersSent) throw error;
    if (!left.signal.aborted) writeFailure(c, outgoing, format, settings.stopping.aborted ? new ApiError('host_stopping') : error);
  } finally {
    left.abort();
    // Not awaited: a source that hangs must not hold the answer.
    source.return?.().then(undefined, () => undefined);
  }
  finish(outgoing, settings.stallMs);
  return RESPONSE_ALREADY_SENT;
}

/** A signal that is aborted when the client has gone, or by hand. */
function abortOnClose(outgoing: ServerResponse): { signal: AbortSignal; abort(): void; [Symbol.dispose](): void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  outgoing.once('close', abort);
  if (outgoing.destroyed) abort();
  return { signal: controller.signal, abort, [Symbol.dispose]: () => void outgoing.off('close', abort) };
}

/** The next item; meanwhile a heartbeat each time that nothing came for `heartbeatMs`. @throws when the signal is aborted */
async function nextOrQuiet<T>(
  source: AsyncIterator<T | undefined>,
  outgoing: ServerResponse,
  settings: StreamSettings,
  heartbeat: string,
  signal: AbortSignal,
): Promise<IteratorResult<T | undefined>> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', abort, { once: true });
  const timer = setInterval(() => {
    // A client that does not read gets no heartbeats on top.
    if (heartbeat !== '' && !outgoing.writableNeedDrain) outgoing.write(heartbeat);
  }, settings.heartbeatMs);
  try {
    return await Promise.race([source.next(), aborted]);
  } finally {
    clearInterval(timer);
    signal.removeEventListener('abort', abort);
  }
}

/** Writes and waits until the client has taken it, as far as node's buffer asks for it. @throws request_timeout */
async function send(outgoing: ServerResponse, text: string, stallMs: number): Promise<void> {
  if (text === '') return;
  if (outgoing.write(text)) return;
  // The socket's own timer sees the progress of a large write, so that a slow client is told from one that stopped.
  const stall = new AbortController();
  const give = (): void => stall.abort(new ApiError('request_timeout', `The client read nothing for ${stallMs / 1000} s.`));
  outgoing.setTimeout(stallMs, give);
  try {
    await Promise.race([once(outgoing, 'drain', { signal: stall.signal }), once(outgoing, 'close', { signal: stall.signal })]);
  } catch (error) {
    throw stall.signal.aborted ? stall.signal.reason : error;
  } finally {
    stall.abort();
    outgoing.setTimeout(0);
    outgoing.off('timeout', give);
  }
}

function writeFailure<T>(c: HttpContext, outgoing: ServerResponse, format: StreamFormat<T>, error: unknown): void {
  const known = toApiError(error);
  if (known.code === 'internal') c.get('log').error({ err: error }, 'stream failed');
  else c.get('log').info({ code: known.code }, 'stream ended early');
  outgoing.write(format.failure(known));
}

/** Ends the answer; a client that does not take the rest in time loses its connection. */
function finish(outgoing: ServerResponse, stallMs: number): void {
  if (outgoing.destroyed) return;
  outgoing.setTimeout(stallMs, () => outgoing.destroy());
  outgoing.end();
}
