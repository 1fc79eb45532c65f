import { type ExecEvent, fileBytes } from '@citb/api';
import { processes as specs } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { NewProcess, Services } from '../services.ts';
import { streamFormat } from './format.ts';
import { register } from './register.ts';
import { type StreamSettings, streamItems } from './stream.ts';

/** `/v1/boxes/{box}/exec` and `/processes`: commands in a box. */
export function processRoutes(app: Hono<HttpEnv>, { processes }: Services, settings: StreamSettings): void {
  register(app, specs.exec, async ({ c, params, body }) => {
    const command: NewProcess = {
      command: body.command,
      cwd: body.cwd,
      env: body.env,
      user: body.user,
      stdin: body.stdin === undefined ? undefined : fileBytes(body.stdin),
      keepStdin: body.keep_stdin,
      timeoutS: body.timeout_s,
    };
    if (body.background) {
      const { pid } = await processes.spawn(params.box, command);
      return c.json({ pid }, 201, { Location: `/v1/boxes/${params.box}/processes/${pid}/output` });
    }
    return streamItems<ExecEvent>(c, settings, (signal) => processes.exec(params.box, command, signal), {
      format: streamFormat(c),
      prime: true,
    });
  });

  register(app, specs.processList, async ({ c, params }) => c.json({ processes: await processes.list(params.box) }));

  register(app, specs.processOutput, async ({ c, params }) =>
    streamItems<ExecEvent>(c, settings, (signal) => processes.output(params.box, params.pid, signal), {
      format: streamFormat(c),
      prime: true,
    }),
  );

  register(app, specs.processInput, async ({ c, params, body }) => {
    await processes.input(params.box, params.pid, body.data === undefined ? undefined : fileBytes(body.data), body.close);
    return c.body(null, 204);
  });

  register(app, specs.processSignal, async ({ c, params, body }) => {
    await processes.signal(params.box, params.pid, body.signal);
    return c.body(null, 204);
  });
}
