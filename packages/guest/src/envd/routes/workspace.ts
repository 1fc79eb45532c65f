import { archiveQuery, limits, listFilesQuery, moveRequest, removeQuery } from '@citb/api';
import { type HttpContext, type HttpEnv, readJson } from '@citb/daemon';
import type { Hono } from 'hono';
import { z } from 'zod';
import { fileEntry } from '../../tree/index.ts';
import type { Envd } from '../context.ts';
import { sendStream, withBody } from '../raw.ts';
import { sendFile } from '../send-file.ts';
import { changeLines } from '../watch-lines.ts';

const placeQuery = z.object({ path: z.string() });
const folderQuery = z.object({ path: z.string().default('') });
/** `mode`: permission bits. */
export const writeQuery = placeQuery.extend({
  mode: z
    .string()
    .regex(/^[0-7]{3,4}$/, 'must be octal permission bits, for example 644')
    .transform((octal) => Number.parseInt(octal, 8))
    .optional(),
});
const tarQuery = archiveQuery.extend({ format: z.literal('tar').default('tar') });
const watchQuery = folderQuery.extend({ recursive: z.stringbool().default(true) });

/** Our own routes for the files of the box, as `guest.ts` of the contract has them. */
export function workspaceRoutes(app: Hono<HttpEnv>, { workspace, flush }: Pick<Envd, 'workspace' | 'flush'>): void {
  app.get('/workspace/list', async (c) => {
    const { path, recursive, limit } = listFilesQuery.parse(c.req.query());
    const { entries, truncated } = await workspace.list(path, { depth: recursive ? Number.POSITIVE_INFINITY : 1, limit });
    return c.json({ entries: entries.map(fileEntry), truncated });
  });

  app.get('/workspace/stat', async (c) => c.json(fileEntry(await workspace.stat(placeQuery.parse(c.req.query()).path))));

  // HEAD comes here too: hono makes a HEAD of a GET.
  app.get('/workspace/file', async (c) => sendFile(c, await workspace.open(placeQuery.parse(c.req.query()).path)));

  app.put('/workspace/file', async (c) => {
    const { path, mode } = writeQuery.parse(c.req.query());
    const options = { mode, limit: limits.uploadBytes, ownChunks: true };
    return c.json(fileEntry(await withBody(c, (body) => workspace.write(path, body, options))));
  });

  app.post('/workspace/folder', async (c) => {
    const { entry } = await workspace.makeFolder(placeQuery.parse(c.req.query()).path);
    return c.json(fileEntry(entry), 201);
  });

  app.post('/workspace/move', async (c) => {
    const { from, to, overwrite } = await readJson(c, moveRequest);
    return c.json(fileEntry(await workspace.move(from, to, { overwrite })));
  });

  app.delete('/workspace/entry', async (c) => {
    const { path, recursive } = removeQuery.parse(c.req.query());
    await workspace.remove(path, { recursive });
    return c.body(null, 204);
  });

  app.get('/workspace/archive', async (c) => {
    const { path } = tarQuery.parse(c.req.query());
    return sendStream(c, 200, { 'Content-Type': 'application/x-tar' }, await workspace.archive(path));
  });

  app.put('/workspace/archive', async (c) => {
    const { path } = folderQuery.parse(c.req.query());
    const unpacked = await withBody(c, (body) => workspace.unpack(path, body));
    await flush();
    return c.json(unpacked);
  });

  app.get('/workspace/watch', async (c: HttpContext) => {
    const { path, recursive } = watchQuery.parse(c.req.query());
    const lines = changeLines(await workspace.watch(path, { recursive }), limits.heartbeatMs);
    return sendStream(c, 200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' }, lines);
  });
}
