import { guestClock } from '@citb/api';
import { type HttpEnv, readJson } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Envd } from '../context.ts';

/**
 * What the host asks around a moment in which the CPUs stand (a checkpoint, a fork): before it `POST /flush`, so that the disk
 * alone tells all; after it `POST /clock`, for the guest's clock stood too.
 */
export function standstillRoutes(app: Hono<HttpEnv>, { flush, machine }: Pick<Envd, 'flush' | 'machine'>): void {
  app.post('/flush', async (c) => {
    await flush();
    return c.body(null, 204);
  });
  app.post('/clock', async (c) => {
    const received = performance.now();
    const { timestamp } = await readJson(c, guestClock);
    await machine.setClock(Date.parse(timestamp) + (performance.now() - received));
    return c.body(null, 204);
  });
}
