import { ApiError } from '@citb/api';
import { allRoutes } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import { honoPath } from './register.ts';

/** For addresses that exist: `OPTIONS` says what they take, and every other method is a 405 with `Allow`. Register it last. */
export function methodRoutes(app: Hono<HttpEnv>): void {
  for (const [path, specs] of Map.groupBy(allRoutes, (spec) => spec.path)) {
    const methods = new Set(specs.map((spec) => spec.method.toUpperCase()));
    if (methods.has('GET')) methods.add('HEAD');
    const allow = [...methods, 'OPTIONS'].join(', ');
    app.all(honoPath(path), (c) => {
      c.header('Allow', allow);
      if (c.req.method === 'OPTIONS') return c.body(null, 204);
      throw new ApiError('method_not_allowed', `${c.req.path} takes ${allow}, not ${c.req.method}.`);
    });
  }
}
