import { ApiError, limits } from '@citb/api';
import type { HttpEnv } from '@citb/daemon';
import type { MiddlewareHandler } from 'hono';
import { nodeOf } from './node.ts';
import { answerRaw } from './raw-answer.ts';

/** Headers of every answer. Nothing here is to be framed, sniffed, cached by others or told where a user came from. */
const securityHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
} as const;

/** Set on node's response, so that answers which bypass hono (streams, downloads) have them too. */
export const secureHeaders: MiddlewareHandler<HttpEnv> = async (c, next) => {
  const { outgoing } = nodeOf(c);
  for (const [name, value] of Object.entries(securityHeaders)) outgoing.setHeader(name, value);
  outgoing.setHeader('X-Request-Id', c.get('requestId'));
  await next();
};

/** Refuses an address whose percent-encoding is broken or no UTF-8, before anything is read from it. */
export const validAddress: MiddlewareHandler<HttpEnv> = async (c, next) => {
  try {
    decodeURIComponent(nodeOf(c).incoming.url ?? '/');
  } catch (cause) {
    throw new ApiError('bad_request', 'The percent-encoding of the address is broken.', { cause });
  }
  await next();
};

const originsHint = 'The operator of the host lists the origins that may in CITB_CORS_ORIGINS.';

/**
 * Answers browsers of the given origins (`*`: any); without one there is no CORS at all. Keys come in headers, never in
 * cookies, so a foreign page can do nothing without the key.
 */
export function cors(origins: readonly string[]): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const origin = c.req.header('origin');
    const preflight = c.req.method === 'OPTIONS' && c.req.header('access-control-request-method') !== undefined;
    if (origin === undefined || !(origins.includes('*') || origins.includes(origin))) {
      // A browser sends no key with it: "unauthorized" would lead its developer astray.
      if (preflight) throw new ApiError('forbidden', 'Pages of this origin may not call the host.', { hint: originsHint });
      return next();
    }
    const { outgoing } = nodeOf(c);
    outgoing.setHeader('Access-Control-Allow-Origin', origin);
    outgoing.setHeader('Vary', 'Origin');
    outgoing.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    outgoing.setHeader(
      'Access-Control-Expose-Headers',
      'X-Task-Id, X-Box-Id, X-Request-Id, Location, Retry-After, Content-Range, Content-Disposition',
    );
    if (!preflight) return next();
    outgoing.setHeader('Access-Control-Allow-Methods', 'GET, HEAD, POST, PUT, PATCH, DELETE');
    outgoing.setHeader(
      'Access-Control-Allow-Headers',
      'X-API-Key, Authorization, Content-Type, Range, Last-Event-ID, Idempotency-Key, X-Anthropic-Key, X-Request-Id',
    );
    outgoing.setHeader('Access-Control-Max-Age', '600');
    return c.body(null, 204);
  };
}

/** Ends connections whose body stops coming. Runs after the key was checked: only then is a client that waits told to send on. */
export function bodyDeadline(idleMs: number = limits.bodyIdleMs): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const { incoming, outgoing } = nodeOf(c);
    if (incoming.headers.expect?.toLowerCase() === '100-continue') outgoing.writeContinue();
    if (!incoming.complete && hasBody(incoming.headers)) {
      const { socket } = incoming;
      const late = (): void => {
        if (outgoing.headersSent) socket.destroy();
        else answerRaw(socket, new ApiError('request_timeout'), c.get('requestId'));
      };
      incoming.setTimeout(idleMs, late);
      incoming.once('end', () => {
        incoming.off('timeout', late);
        socket.setTimeout(0);
      });
    }
    await next();
  };
}

function hasBody(headers: NodeJS.Dict<string | string[]>): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
