import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from '@citb/api';
import type { HttpEnv } from '@citb/daemon';
import type { MiddlewareHandler } from 'hono';
import type { InitFile } from './init-file.ts';

/** Lets in who has the box's access token in `X-Access-Token`; before the token exists nobody. */
export function requireToken(init: InitFile): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const token = init.current()?.accessToken;
    if (token === undefined)
      throw new ApiError('box_unreachable', 'The box has not been initialised yet.', { hint: 'Try again in a moment.' });
    if (!same(c.req.header('x-access-token') ?? '', token))
      throw new ApiError('unauthorized', 'The access token is missing or wrong.', {
        hint: 'Send the token of POST /init in X-Access-Token.',
      });
    await next();
  };
}

/** Compares hashes, so that neither the content nor the length shows in the time. */
function same(given: string, wanted: string): boolean {
  return timingSafeEqual(hash(given), hash(wanted));
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
