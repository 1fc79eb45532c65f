import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ApiError } from '@citb/api';
import { type HttpContext, type HttpEnv, readJson, toApiError } from '@citb/daemon';
import type { Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import type { Tree } from '../../tree/index.ts';
import { UnknownUser, absolutePath, actingUser, systemPath, systemTreeOf } from '../caller.ts';
import type { Envd } from '../context.ts';
import { receiveForm } from '../form.ts';
import { withBody } from '../raw.ts';
import { sendFile } from '../send-file.ts';
import type { User } from '../users.ts';

/** E2B's answer for a written file. */
interface WrittenFile {
  readonly path: string;
  readonly name: string;
  readonly type: 'file';
}

const compose = z.object({ source_paths: z.array(z.string()).min(1).max(1000), destination: z.string(), username: z.string().optional() });

/** E2B's file routes: any file of the guest, as the user that `username` names; errors in E2B's form. */
export function fileRoutes(app: Hono<HttpEnv>, envd: Envd): void {
  app.get('/files', (c) =>
    withE2bFaults(c, async () => {
      const user = await actingUser(envd, c.req.query('username'));
      const path = absolutePath(c.req.query('path') ?? '', user);
      const file = await systemTreeOf(envd, user).open(systemPath(path));
      return sendFile(c, file, { 'Content-Disposition': `inline; filename*=UTF-8''${encodeURIComponent(posix.basename(path))}` });
    }),
  );

  app.post('/files', (c) =>
    withE2bFaults(c, async () => {
      const user = await actingUser(envd, c.req.query('username'));
      const write = writer(systemTreeOf(envd, user), user);
      return c.json(await withBody(c, async (incoming) => receive(c, decoded(c, incoming), write)));
    }),
  );

  app.post('/files/compose', (c) =>
    withE2bFaults(c, async () => {
      const { source_paths: sources, destination, username } = await readJson(c, compose);
      const user = await actingUser(envd, username);
      const tree = systemTreeOf(envd, user);
      const inTree = sources.map((path) => systemPath(absolutePath(path, user)));
      const written = await writer(tree, user)(destination, joined(tree, inTree));
      const target = systemPath(written.path);
      for (const source of inTree) if (source !== target) await tree.remove(source, { recursive: false });
      return c.json(written);
    }),
  );
}

type Write = (path: string, body: AsyncIterable<Uint8Array>) => Promise<WrittenFile>;

function writer(tree: Tree, user: User): Write {
  return async (path, body) => {
    const absolute = absolutePath(path, user);
    await tree.write(systemPath(absolute), body);
    return { path: absolute, name: posix.basename(absolute), type: 'file' };
  };
}

async function receive(c: HttpContext, body: Readable, write: Write): Promise<WrittenFile[]> {
  const path = c.req.query('path');
  const type = c.req.header('content-type') ?? '';
  if (type.startsWith('multipart/form-data')) return receiveForm(body, type, path, write);
  if (!type.startsWith('application/octet-stream'))
    throw new ApiError('unsupported_media_type', `The content type "${type.slice(0, 100)}" is not taken here.`);
  if (path === undefined || path === '')
    throw new ApiError('invalid_request', 'The path query parameter is required for application/octet-stream.');
  return [await write(path, body)];
}

function decoded(c: HttpContext, body: Readable): Readable {
  const encoding = c.req.header('content-encoding') ?? 'identity';
  if (encoding === 'identity') return body;
  if (encoding !== 'gzip')
    throw new ApiError('unsupported_media_type', `The content encoding "${encoding.slice(0, 100)}" is not taken here.`);
  const plain = createGunzip();
  body.once('error', (error) => plain.destroy(error));
  return body.pipe(plain);
}

async function* joined(tree: Tree, paths: readonly string[]): AsyncGenerator<Buffer> {
  for (const path of paths) {
    const file = await tree.open(path);
    yield* file.stream(0, file.stats.size - 1) as AsyncIterable<Buffer>;
  }
}

/** E2B's clients read `{code, message}` with the HTTP status as the code. */
async function withE2bFaults(c: HttpContext, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnknownUser) return c.json({ code: 401, message: error.message }, 401);
    const fault = toApiError(error);
    if (fault.code === 'internal') throw error;
    // What is wrong with a path or a body is 400 there.
    const status = [409, 415, 422].includes(fault.status) ? 400 : fault.status;
    return c.json({ code: status, message: fault.message }, status as ContentfulStatusCode);
  }
}
