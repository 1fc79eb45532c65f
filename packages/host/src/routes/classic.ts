import { ApiError, type Box, limits, type TaskEvent } from '@citb/api';
import { classic, mediaTypes } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Services } from '../services.ts';
import { sendFile } from './download.ts';
import type { StreamFormat } from './format.ts';
import { filePath, taskFiles } from './paths.ts';
import { register } from './register.ts';
import { type StreamSettings, streamItems } from './stream.ts';

/** The classic API: a box a user, found by `user_id`. */
export function classicRoutes(app: Hono<HttpEnv>, services: Services, settings: StreamSettings & { readonly autoCreate: boolean }): void {
  const { boxes, tasks, files, processes, host } = services;

  register(app, classic.createMicrovm, async ({ c, body }) => {
    const { box } = await boxes.create({ userId: body.user_id, runtime: body.runtime, envVars: body.env_vars });
    if (box.vm_ip === null || box.pid === null) throw new ApiError('box_failed', box.reason ?? undefined);
    return c.json({ status: 'created', vm_ip: box.vm_ip, pid: box.pid });
  });

  register(app, classic.claudeInTheBox, async ({ c, body, headers }) => {
    const wanted = taskFiles(body.files);
    const box = await boxes.byUser(body.user_id).catch((error: unknown) => {
      if (settings.autoCreate && error instanceof ApiError && error.code === 'box_not_found') return createFor(boxes, body.user_id);
      throw error;
    });
    const task = await tasks.start(box.id, {
      prompt: body.task,
      files: wanted,
      context: body.context,
      options: {},
      modelKey: headers['x-anthropic-key'],
    });
    return streamItems(c, settings, (signal) => tasks.events(box.id, task.id, 0, signal), {
      format: classicFormat(box.id, task.id),
      headers: { 'X-Task-Id': task.id, 'X-Box-Id': box.id },
    });
  });

  register(app, classic.listWorkspaceFiles, async ({ c, query }) => {
    const box = await boxes.byUser(query.user_id);
    const listing = await files.list(box.id, { path: '', recursive: true, limit: limits.listEntries });
    const regular = listing.entries.filter((entry) => entry.type === 'file');
    return c.json({
      user_id: query.user_id,
      files: regular.map(({ path, size, modified }) => ({ path, size, modified })),
      truncated: listing.truncated,
    });
  });

  register(app, classic.downloadFile, async ({ c, query }) => {
    const path = filePath(query.filename, 'filename');
    const box = await boxes.byUser(query.user_id);
    const range = c.req.header('range');
    const download = await files.read(box.id, path, { range, head: c.req.method === 'HEAD', signal: c.req.raw.signal });
    return sendFile(c, download, path, settings.stallMs);
  });

  register(app, classic.listProcesses, async ({ c, query }) => {
    const box = await boxes.byUser(query.user_id);
    const all = await processes.list(box.id);
    return c.json({
      user_id: query.user_id,
      processes: all.map(({ pid, user, cpu_percent: cpu, memory_bytes: memory, command }) => ({ pid, user, cpu, memory, command })),
    });
  });

  register(app, classic.killMicrovm, async ({ c, body }) => {
    const box = await boxes.byUser(body.user_id);
    await boxes.kill(box.id);
    return c.json({ status: 'killed', user_id: body.user_id });
  });

  register(app, classic.status, async ({ c }) => c.json(await host.status()));
  register(app, classic.maintenance, async ({ c }) => c.json(await host.maintain()));
  register(app, classic.health, ({ c }) => {
    const health = host.health();
    return c.json(health, health.status === 'ok' ? 200 : 503);
  });
}

async function createFor(boxes: Services['boxes'], userId: string): Promise<Box> {
  const { box } = await boxes.create({ userId, runtime: 'claude-agent', envVars: {} });
  return box;
}

/**
 * JSON lines as the original's clients read them: every line has `type` and `content`, and whatever happens the last one is
 * `completion`. When it is the stream that breaks, an `error` line before it says how to go on.
 */
function classicFormat(boxId: string, taskId: string): StreamFormat<TaskEvent> {
  let seq = 0;
  return {
    contentType: mediaTypes.ndjson,
    prologue: '',
    item: (event) => {
      seq = event.seq;
      return line(event);
    },
    heartbeat: line({ type: 'heartbeat', content: '' }),
    failure: ({ code, message }) => {
      const hint = `The task goes on; read the rest with GET /v1/boxes/${boxId}/tasks/${taskId}/events?after=${seq}`;
      return (
        line({ type: 'error', content: { code, message, hint } }) +
        line({
          type: 'completion',
          content: `The stream ended early: ${message} ${hint}`,
          outcome: 'interrupted',
          stop_reason: 'stream_error',
        })
      );
    },
  };
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
