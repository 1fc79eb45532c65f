import { files as specs } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Services } from '../services.ts';
import { attachment, sendBytes, sendFile } from './download.ts';
import { streamFormat } from './format.ts';
import { filePath, folderPath } from './paths.ts';
import { register } from './register.ts';
import { type StreamSettings, streamItems } from './stream.ts';
import { withUpload } from './upload.ts';

/** `/v1/boxes/{box}/files`: the workspace of a box. */
export function fileRoutes(app: Hono<HttpEnv>, { files }: Services, settings: StreamSettings): void {
  register(app, specs.listFiles, async ({ c, params, query }) => {
    const path = folderPath(query.path, 'path');
    return c.json(await files.list(params.box, { ...query, path }));
  });

  register(app, specs.readFile, async ({ c, params, query }) => {
    const path = filePath(query.path, 'path');
    const range = c.req.header('range');
    const download = await files.read(params.box, path, { range, head: c.req.method === 'HEAD', signal: c.req.raw.signal });
    return sendFile(c, download, path, settings.stallMs);
  });

  register(app, specs.writeFile, async ({ c, params, query }) => {
    const path = filePath(query.path, 'path');
    const entry = await withUpload(c, notAForm, (body, size, signal) =>
      files.write(params.box, path, body, { size, mode: query.mode, signal }),
    );
    return c.json(entry);
  });

  register(app, specs.removeFile, async ({ c, params, query }) => {
    await files.remove(params.box, filePath(query.path, 'path'), query.recursive);
    return c.body(null, 204);
  });

  register(app, specs.makeFolder, async ({ c, params, query }) =>
    c.json(await files.makeFolder(params.box, filePath(query.path, 'path')), 201),
  );

  register(app, specs.moveFile, async ({ c, params, body }) => {
    const [from, to] = [filePath(body.from, 'from'), filePath(body.to, 'to')];
    return c.json(await files.move(params.box, from, to, body.overwrite));
  });

  register(app, specs.downloadArchive, async ({ c, params, query: { path: given, format } }) => {
    const path = folderPath(given, 'path');
    const name = `${path.split('/').at(-1) || 'workspace'}.${format}`;
    const archive = await files.archive(params.box, path, format, c.req.raw.signal);
    const headers = { 'Content-Type': format === 'zip' ? 'application/zip' : 'application/x-tar', ...attachment(name) };
    return sendBytes(c, archive, headers, { status: 200, stallMs: settings.stallMs });
  });

  register(app, specs.uploadArchive, async ({ c, params, query }) => {
    const path = folderPath(query.path, 'path');
    return c.json(await withUpload(c, onlyTar, (body, _size, signal) => files.unpack(params.box, path, body, signal)));
  });

  register(app, specs.watchFiles, async ({ c, params, query }) => {
    const path = folderPath(query.path, 'path');
    return streamItems(c, settings, (signal) => files.watch(params.box, path, signal), { format: streamFormat(c), prime: true });
  });
}

const notAForm = { 'multipart/form-data': 'Send the bytes themselves: curl -T file, or --data-binary @file.' };
const onlyTar = Object.fromEntries(
  ['multipart/form-data', 'application/zip', 'application/json'].map((type) => [
    type,
    'Send a tar, plain or gzip: tar -cz . | curl -T - …',
  ]),
);
