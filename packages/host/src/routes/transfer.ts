import { exportMediaType } from '@citb/api';
import { transfer as specs } from '@citb/api/routes/index.ts';
import type { HttpContext, HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { FileDownload, Services } from '../services.ts';
import { attachment, sendBytes } from './download.ts';
import { register } from './register.ts';
import type { StreamSettings } from './stream.ts';
import { withUpload } from './upload.ts';

const refused = {
  'application/json': `Send the exported file itself, with Content-Type: ${exportMediaType}.`,
  'multipart/form-data': 'Send the exported file itself as the body, not a form: curl -T file.',
};

/** Export and import of boxes, and what they take. */
export function transferRoutes(
  app: Hono<HttpEnv>,
  { transfer, boxes }: Pick<Services, 'transfer' | 'boxes'>,
  settings: StreamSettings,
): void {
  register(app, specs.exportBox, async ({ c, params }) => {
    await boxes.get(params.box);
    // For the length of the answer only.
    const prepared = await transfer.prepare(params.box, true);
    try {
      return await send(c, await transfer.read(prepared.id, undefined), params.box, settings);
    } finally {
      await transfer.remove(prepared.id);
    }
  });

  register(app, specs.prepareExport, async ({ c, params }) => {
    const prepared = await transfer.prepare(params.box);
    return c.json(prepared, 201, { Location: `/v1/exports/${prepared.id}` });
  });

  register(app, specs.downloadExport, async ({ c, params }) =>
    send(c, await transfer.read(params.export, c.req.header('range')), params.export, settings),
  );

  register(app, specs.deleteExport, async ({ c, params }) => {
    await transfer.remove(params.export);
    return c.body(null, 204);
  });

  register(app, specs.importBox, async ({ c, query }) => {
    const box = await withUpload(c, refused, (body, _size, signal) =>
      transfer.import(body, { id: query.id, userId: query.user_id, signal }),
    );
    return c.json(box, 201, { Location: `/v1/boxes/${box.id}` });
  });

  const { uploads } = transfer;

  register(app, specs.beginImport, async ({ c }) => {
    const begun = await uploads.begin();
    return c.json(begun, 201, { Location: `/v1/imports/${begun.id}` });
  });

  register(app, specs.getImport, async ({ c, params }) => c.json(await uploads.get(params.import)));

  register(app, specs.appendImport, async ({ c, params, query }) =>
    c.json(await withUpload(c, refused, (body, _size, signal) => uploads.append(params.import, query.offset, body, signal))),
  );

  register(app, specs.finishImport, async ({ c, params, body }) => {
    const box = await uploads.finish(params.import, { id: body.id, userId: body.user_id, envVars: body.env_vars });
    return c.json(box, 201, { Location: `/v1/boxes/${box.id}` });
  });

  register(app, specs.deleteImport, async ({ c, params }) => {
    await uploads.remove(params.import);
    return c.body(null, 204);
  });

  register(app, specs.usage, async ({ c, query }) => c.json(await transfer.usage({ userId: query.user_id })));
}

function send(c: HttpContext, download: FileDownload, name: string, { stallMs }: StreamSettings): Promise<Response> {
  return sendBytes(
    c,
    download.body,
    {
      'Content-Type': exportMediaType,
      'Content-Length': String(download.size),
      ...attachment(`${name}.citb`),
      'Accept-Ranges': 'bytes',
      'Last-Modified': new Date(download.modified).toUTCString(),
      ...(download.contentRange === undefined ? {} : { 'Content-Range': download.contentRange }),
    },
    { status: download.status, stallMs },
  );
}
