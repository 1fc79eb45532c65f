import { isTaskEnded } from '@citb/api';
import { mediaTypes, tasks as specs } from '@citb/api/routes/index.ts';
import type { HttpContext, HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Services } from '../services.ts';
import { acceptedType, streamFormat } from './format.ts';
import { taskFiles } from './paths.ts';
import { register } from './register.ts';
import { type StreamSettings, streamItems } from './stream.ts';

/** `/v1/boxes/{box}/tasks`: work for the agent, and what it streams. */
export function taskRoutes(app: Hono<HttpEnv>, { tasks }: Services, settings: StreamSettings): void {
  register(app, specs.createTask, async ({ c, params, query, body, headers }) => {
    const { prompt, files, context, ...options } = body;
    const task = await tasks.start(
      params.box,
      { prompt, files: taskFiles(files), context, options, modelKey: headers['x-anthropic-key'] },
      headers['idempotency-key'],
    );
    const about = { Location: `/v1/boxes/${params.box}/tasks/${task.id}`, 'X-Task-Id': task.id };
    if (!(query.stream ?? wantsStream(c))) return c.json(task, 201, about);
    return streamItems(c, settings, (signal) => tasks.events(params.box, task.id, 0, signal), {
      format: streamFormat(c),
      status: 201,
      headers: about,
    });
  });

  register(app, specs.listTasks, async ({ c, params, query: { limit, cursor } }) =>
    c.json(await tasks.list(params.box, { limit, ...(cursor === undefined ? {} : { cursor }) })),
  );

  register(app, specs.getTask, async ({ c, params }) => c.json(await tasks.get(params.box, params.task)));

  register(app, specs.cancelTask, async ({ c, params }) => c.json(await tasks.cancel(params.box, params.task), 202));

  register(app, specs.answerQuestion, async ({ c, params, body }) => {
    await tasks.answer(params.box, params.task, params.question, body);
    return c.body(null, 204);
  });

  register(app, specs.taskEvents, async ({ c, params, query, headers }) => {
    const task = await tasks.get(params.box, params.task);
    const last = headers['last-event-id'];
    const after = query.after ?? Number(last ?? 0);
    const format = streamFormat(c);
    // A browser's EventSource connects again and again until it is told that there is no more.
    if (last !== undefined && format.contentType === mediaTypes.sse && isTaskEnded(task.state) && after >= task.last_seq)
      return c.body(null, 204);
    return streamItems(c, settings, (signal) => tasks.events(params.box, params.task, after, signal), { format });
  });
}

function wantsStream(c: HttpContext): boolean {
  return acceptedType(c, [mediaTypes.json, mediaTypes.ndjson, mediaTypes.sse]) !== mediaTypes.json;
}
