import type { ApiError, StreamError } from '@citb/api';
import { mediaTypes } from '@citb/api/routes/index.ts';
import type { HttpContext } from '@citb/daemon';
import { accepts } from 'hono/accepts';

/** How the items of a stream are written. */
export interface StreamFormat<T> {
  readonly contentType: string;
  /** Written first. */
  readonly prologue: string;
  item(item: T): string;
  /** Keeps a quiet stream open; no item. */
  readonly heartbeat: string;
  /** What is written when the stream must end early. */
  failure(error: ApiError): string;
}

/** The kinds of stream that `Accept` can ask for; the first of `offered` when it does not say. */
export function acceptedType(c: HttpContext, offered: readonly [string, ...string[]]): string {
  return accepts(c, { header: 'Accept', supports: [...offered], default: offered[0] });
}

/** JSON lines. The heartbeat is an empty line. */
export function ndjson(): StreamFormat<object> {
  return {
    contentType: mediaTypes.ndjson,
    prologue: '',
    item: (item) => `${JSON.stringify(item)}\n`,
    heartbeat: '\n',
    failure: (error) => `${JSON.stringify(streamError(error))}\n`,
  };
}

/** Server-sent events; items with a `seq` have it as their id, so that `Last-Event-ID` brings a reader back to its place. */
export function serverSentEvents(): StreamFormat<object> {
  return {
    contentType: mediaTypes.sse,
    prologue: 'retry: 1000\n\n',
    item: (item) => `${'seq' in item ? `id: ${String(item.seq)}\n` : ''}data: ${JSON.stringify(item)}\n\n`,
    heartbeat: ': heartbeat\n\n',
    failure: (error) => `data: ${JSON.stringify(streamError(error))}\n\n`,
  };
}

/** JSON lines, or server-sent events when `Accept` prefers them. */
export function streamFormat(c: HttpContext): StreamFormat<object> {
  return acceptedType(c, [mediaTypes.ndjson, mediaTypes.sse]) === mediaTypes.sse ? serverSentEvents() : ndjson();
}

function streamError({ code, message, hint }: ApiError): StreamError {
  return { type: 'stream_error', content: { code, message, hint } };
}
