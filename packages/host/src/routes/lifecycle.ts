import { lifecycle as specs } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Services } from '../services.ts';
import { streamFormat } from './format.ts';
import { register } from './register.ts';
import { type StreamSettings, streamItems } from './stream.ts';

/** Pausing, waking, stopping, settings and events of boxes; draining the host. */
export function lifecycleRoutes(app: Hono<HttpEnv>, { boxes, host }: Services, settings: StreamSettings): void {
  register(app, specs.pauseBox, async ({ c, params }) => c.json(await boxes.pause(params.box)));
  register(app, specs.resumeBox, async ({ c, params }) => c.json(await boxes.resume(params.box)));
  register(app, specs.stopBox, async ({ c, params }) => c.json(await boxes.stop(params.box)));

  register(app, specs.updateBox, async ({ c, params, body }) => {
    const { labels, idle_s: idleS, keep_alive_until: until, timeout_s: timeoutS, on_timeout: onTimeout } = body;
    const keepAliveUntil = typeof until === 'string' ? Date.parse(until) : until;
    return c.json(await boxes.update(params.box, { labels, idleS, keepAliveUntil, timeoutS, onTimeout }));
  });

  register(app, specs.boxEvents, async ({ c, params, query, headers }) => {
    await boxes.get(params.box);
    const after = query.after ?? Number(headers['last-event-id'] ?? 0);
    return streamItems(c, settings, (signal) => boxes.events(params.box, after, signal), { format: streamFormat(c) });
  });

  register(app, specs.drainHost, async ({ c, body }) => c.json(await host.drain(body.deadline_s * 1000)));
}
