import { ApiError } from '@citb/api';
import { allRoutes } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { MiddlewareHandler } from 'hono';

/** Says whether a key is right, in a time that does not depend on how much of it is. */
export type ApiKeyCheck = (key: string) => boolean;

const publicPaths = new Set(allRoutes.filter((spec) => spec.public === true).map((spec) => spec.path));

/** Lets through who brings the key in `X-API-Key` or as `Authorization: Bearer`, and everybody to the public routes. */
export function requireKey(check: ApiKeyCheck): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    if (!publicPaths.has(c.req.path)) {
      // Taken away again when the key is right; every 401 has it (RFC 9110 section 11.6.1).
      c.header('WWW-Authenticate', 'Bearer realm="claude-in-the-box"');
      checkKey(check, c.req.header('x-api-key') ?? bearer(c.req.header('authorization')));
      c.header('WWW-Authenticate', undefined);
    }
    await next();
  };
}

/** @throws unauthorized */
export function checkKey(check: ApiKeyCheck, key: string | undefined): void {
  if (key === undefined) throw new ApiError('unauthorized', 'The API key is missing.');
  if (!check(key)) throw new ApiError('unauthorized', 'The API key is wrong.');
}

/** The token of an `Authorization: Bearer` header. */
export function bearer(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^Bearer +(\S+)$/i.exec(header)?.[1];
}
