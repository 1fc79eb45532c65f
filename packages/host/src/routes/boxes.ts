import { ApiError, type LogLine } from '@citb/api';
import { boxes as specs, mediaTypes } from '@citb/api/routes/index.ts';
import type { HttpContext, HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Services } from '../services.ts';
import { acceptedType, ndjson, serverSentEvents, type StreamFormat } from './format.ts';
import { register } from './register.ts';
import { type StreamSettings, streamItems } from './stream.ts';

/** `/v1/boxes`: creation, listing, killing, logs. */
export function boxRoutes(app: Hono<HttpEnv>, { boxes, transfer }: Pick<Services, 'boxes' | 'transfer'>, settings: StreamSettings): void {
  register(app, specs.createBox, async ({ c, body, headers }) => {
    const { box, created } = await boxes.create(
      {
        id: body.id,
        userId: body.user_id,
        runtime: body.runtime,
        envVars: body.env_vars,
        labels: body.labels,
        diskMib: body.disk_mib,
        memoryMib: body.memory_mib,
        cpus: body.cpus,
        timeoutS: body.timeout_s,
        onTimeout: body.on_timeout,
        idleS: body.idle_s,
        keepAliveUntil: body.keep_alive_until === undefined ? undefined : Date.parse(body.keep_alive_until),
      },
      headers['idempotency-key'],
    );
    return c.json(box, created ? 201 : 200, { Location: `/v1/boxes/${box.id}` });
  });

  register(app, specs.listBoxes, async ({ c, query }) => {
    const { limit, cursor, state, user_id: userId } = query;
    const labels = parseLabels(query.label);
    return c.json(
      await boxes.list({
        limit,
        labels,
        ...(cursor === undefined ? {} : { cursor }),
        ...(userId === undefined ? {} : { userId }),
        ...(state === undefined ? {} : { state }),
      }),
    );
  });

  register(app, specs.getBox, async ({ c, params }) => {
    const box = await boxes.get(params.box);
    return c.json({ ...box, usage: await transfer.usageOf(box.id) });
  });

  register(app, specs.killBox, async ({ c, params }) => {
    await boxes.kill(params.box);
    return c.body(null, 204);
  });

  register(app, specs.boxLogs, async ({ c, params, query }) => {
    await boxes.get(params.box);
    return streamItems(c, settings, (signal) => boxes.logs(params.box, { ...query, signal }), { format: logFormat(c) });
  });
}

/** `name=value`, each given once. */
function parseLabels(given: string | readonly string[] | undefined): Record<string, string> {
  const labels = new Map<string, string>();
  for (const pair of given === undefined ? [] : [given].flat()) {
    const cut = pair.indexOf('=');
    if (cut < 1) throw new ApiError('invalid_request', 'label: must be name=value', { field: 'label' });
    labels.set(pair.slice(0, cut), pair.slice(cut + 1));
  }
  return Object.fromEntries(labels);
}

function logFormat(c: HttpContext): StreamFormat<LogLine> {
  const type = acceptedType(c, [mediaTypes.ndjson, mediaTypes.sse, 'text/plain']);
  if (type === 'text/plain') return plainText;
  return type === mediaTypes.sse ? serverSentEvents() : ndjson();
}

const plainText: StreamFormat<LogLine> = {
  contentType: 'text/plain; charset=utf-8',
  prologue: '',
  item: ({ ts, source, line }) => `${ts} ${source} ${line}\n`,
  // Nothing can be written that a reader of text would not take for a line of the log.
  heartbeat: '',
  failure: ({ message }) => `[the stream ended early: ${message}]\n`,
};
