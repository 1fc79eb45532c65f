import { checkpoints as specs } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Services } from '../services.ts';
import { register } from './register.ts';

/** `/v1/boxes/{box}/checkpoints` and `/fork`. */
export function checkpointRoutes(app: Hono<HttpEnv>, { checkpoints }: Pick<Services, 'checkpoints'>): void {
  register(app, specs.createCheckpoint, async ({ c, params, body }) => c.json(await checkpoints.create(params.box, body), 201));

  register(app, specs.listCheckpoints, async ({ c, params }) => c.json({ checkpoints: await checkpoints.list(params.box) }));

  register(app, specs.restoreCheckpoint, async ({ c, params }) => c.json(await checkpoints.restore(params.box, params.checkpoint)));

  register(app, specs.deleteCheckpoint, async ({ c, params }) => {
    await checkpoints.remove(params.box, params.checkpoint);
    return c.body(null, 204);
  });

  register(app, specs.forkBox, async ({ c, params, body, headers }) => {
    const { id, user_id: userId, labels, env_vars: envVars, checkpoint } = body;
    const box = await checkpoints.fork(params.box, { id, userId, labels, envVars, checkpoint }, headers['idempotency-key']);
    return c.json(box, 201, { Location: `/v1/boxes/${box.id}` });
  });
}
