import { guestInit } from '@citb/api';
import { type HttpEnv, readJson } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Envd } from '../context.ts';

/** `POST /init`: the hand-over from the host. The answer comes when everything of it holds. */
export function initRoutes(app: Hono<HttpEnv>, { session, machine, log }: Pick<Envd, 'session' | 'machine' | 'log'>): void {
  app.post('/init', async (c) => {
    const received = performance.now();
    const init = await readJson(c, guestInit);
    await session.accept(init, c.req.header('x-access-token'));
    // Entropy first: all that is drawn from now on must differ from what a clone of the same memory draws.
    if (init.entropy !== undefined) await machine.addEntropy(init.entropy);
    if (init.timestamp !== undefined) await machine.setClock(Date.parse(init.timestamp) + (performance.now() - received));
    if (init.identity !== undefined) await machine.setIdentity(init.identity);
    log.info({ box: init.identity?.boxId, run: init.lifecycleID }, 'initialised');
    return c.body(null, 204);
  });
}
