import { processListing } from '@citb/api';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Envd } from '../context.ts';
import { Metrics } from '../metrics.ts';
import { listProcesses } from '../proc.ts';

/** What can be asked about the guest: `/envs`, `/metrics`, `/processes`. */
export function stateRoutes(app: Hono<HttpEnv>, envd: Pick<Envd, 'session' | 'users' | 'workspacePath'>): void {
  const metrics = new Metrics(envd.workspacePath);
  app.get('/envs', (c) => c.json(envd.session.init?.envVars ?? {}));
  app.get('/metrics', async (c) => c.json(await metrics.read()));
  app.get('/processes', async (c) => c.json(processListing.parse({ processes: await listProcesses(envd.users) })));
}
