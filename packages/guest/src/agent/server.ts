import { type AgentTask, ApiError, agentPaths, agentTaskRequest, answerRequest } from '@citb/api';
import { type HttpEnv, type Logger, createHttp, readJson } from '@citb/daemon';
import type { Hono } from 'hono';
import { z } from 'zod';
import { requireToken } from './access.ts';
import type { Agent } from './claude/agent.ts';
import type { InitFile } from './init-file.ts';
import type { Tasks } from './tasks/tasks.ts';

/** A quiet stream of events carries an empty line this often, in ms. */
const heartbeatMs = 5000;
const version = '0.1.0';

export interface AgentHttp {
  readonly init: InitFile;
  readonly tasks: Tasks;
  readonly agent: Agent;
  readonly log: Logger;
}

/** The routes of the contract (`agentPaths`). All but health want the access token. */
export function agentHttp({ init, tasks, agent, log }: AgentHttp): Hono<HttpEnv> {
  const app = createHttp(log);
  app.get(agentPaths.health, (c) => c.json({ agent: init.current() === undefined ? 'starting' : 'ready', parked: agent.parked, version }));
  app.use(`${agentPaths.tasks}/*`, requireToken(init));
  app.post(agentPaths.tasks, async (c) => c.json((await tasks.accept(await readJson(c, agentTaskRequest))) satisfies AgentTask, 202));
  app.get(agentPaths.tasks, (c) => c.json({ tasks: tasks.list() }));
  app.get(`${agentPaths.tasks}/:id`, (c) => c.json(tasks.get(c.req.param('id')) satisfies AgentTask));
  app.get(`${agentPaths.tasks}/:id/events`, (c) => {
    const lines = tasks.events(c.req.param('id'), readAfter(c.req.query('after')), heartbeatMs);
    return c.body(ReadableStream.from(bytes(lines)), 200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  });
  app.post(`${agentPaths.tasks}/:id/cancel`, async (c) => {
    await tasks.cancel(c.req.param('id'));
    return c.body(null, 202);
  });
  app.post(`${agentPaths.tasks}/:id/answers/:question`, async (c) => {
    const { answers } = await readJson(c, answerRequest);
    tasks.answer(c.req.param('id'), c.req.param('question'), answers);
    return c.body(null, 204);
  });
  app.delete(`${agentPaths.tasks}/:id`, (c) => {
    tasks.remove(c.req.param('id'));
    return c.body(null, 204);
  });
  return app;
}

function readAfter(value: string | undefined): number {
  const after = z.coerce
    .number()
    .int()
    .nonnegative()
    .safeParse(value ?? '0');
  if (!after.success) throw new ApiError('invalid_request', 'after: must be a number of 0 or more', { field: 'after' });
  return after.data;
}

async function* bytes(lines: AsyncIterable<Buffer | string>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for await (const line of lines) yield Uint8Array.from(Buffer.from(line));
}
