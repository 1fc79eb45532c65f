import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type ErrorCode, ApiError } from '@citb/api';
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import type { Logger } from './log.ts';

/** What every route finds in its context. */
export interface HttpVariables {
  requestId: string;
  log: Logger;
}
export type HttpEnv = { Variables: HttpVariables };
export type HttpContext = Context<HttpEnv>;

/**
 * A hono app with what every daemon's HTTP has: a request id (`X-Request-Id`, taken over when the caller sends a sane one),
 * one log line a request, and the error table's answers.
 */
export function createHttp(log: Logger): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>();
  app.use(async (c, next) => {
    const given = c.req.header('x-request-id');
    const requestId = given !== undefined && /^[A-Za-z0-9_-]{1,64}$/.test(given) ? given : `req_${randomUUID()}`;
    const child = log.child({ request_id: requestId });
    c.set('requestId', requestId);
    c.set('log', child);
    c.header('X-Request-Id', requestId);
    const started = performance.now();
    await next();
    child.info({ method: c.req.method, path: c.req.path, status: sentStatus(c), ms: Math.round(performance.now() - started) }, 'request');
  });
  app.onError((error, c) => answerError(c, error));
  app.notFound((c) => answerError(c, nothingHere(c)));
  return app;
}

/** Streams and downloads write the status to node's response themselves; hono's own then says 200 whatever was sent. */
function sentStatus(c: HttpContext): number {
  const { outgoing } = (c.env ?? {}) as { outgoing?: ServerResponse };
  return outgoing?.headersSent === true ? outgoing.statusCode : c.res.status;
}

function nothingHere(c: HttpContext): ApiError {
  const message = `There is nothing at ${c.req.method} ${c.req.path}.`;
  return c.req.path.endsWith('/') && c.req.path !== '/'
    ? new ApiError('not_found', message, { hint: 'Leave out the "/" at the end; see /docs for the routes.' })
    : new ApiError('not_found', message);
}

/**
 * Writes the answer for any failure. What is not the caller's mistake is logged: a refusal, such as that of a full host, in its own words,
 * anything else with its stack and cause.
 */
export function answerError(c: HttpContext, error: unknown): Response {
  const known = toApiError(error);
  const isRefusal = known.code !== 'internal' && known.cause === undefined;
  if (known.status >= 500 && isRefusal) c.get('log')?.warn({ code: known.code, reason: known.message }, 'request refused');
  if (known.status >= 500 && !isRefusal) c.get('log')?.error({ err: error, code: known.code }, 'request failed');
  if (known.retryAfterSeconds !== undefined) c.header('Retry-After', String(known.retryAfterSeconds));
  return c.json(known.body(c.get('requestId') ?? 'req_unknown'), known.status as ContentfulStatusCode);
}

/** The table's error for anything thrown. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof z.ZodError) return fromZod(error);
  if (error instanceof HTTPException && error.status === 413) return new ApiError('body_too_large');
  return new ApiError('internal', undefined, { cause: error });
}

/** The first issue, with the field named; an issue may carry its own error code in `params.code`. */
function fromZod(error: z.ZodError): ApiError {
  const issue = error.issues[0];
  if (issue === undefined) return new ApiError('invalid_request');
  const field = issue.path.map(String).join('.');
  const code = ((issue as { params?: { code?: ErrorCode } }).params?.code ?? 'invalid_request') satisfies ErrorCode;
  const wrong = issue.message.endsWith('received undefined') ? 'is missing' : issue.message;
  return new ApiError(code, field === '' ? wrong : `${field}: ${wrong}`, field === '' ? {} : { field });
}
