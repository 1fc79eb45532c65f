import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { HttpContext } from '@citb/daemon';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { create } from 'content-disposition';
import mime from 'mime';
import type { FileDownload } from '../services.ts';
import { nodeOf } from './node.ts';

/** Answers with a file of a box: a download under its own name, never something that a browser would run on this origin. */
export function sendFile(c: HttpContext, download: FileDownload, path: string, stallMs: number): Promise<Response> {
  const name = path.split('/').at(-1) ?? path;
  return sendBytes(
    c,
    download.body,
    {
      'Content-Type': mime.getType(name) ?? 'application/octet-stream',
      'Content-Length': String(download.size),
      ...attachment(name),
      'Accept-Ranges': 'bytes',
      'Last-Modified': new Date(download.modified).toUTCString(),
      ...(download.contentRange === undefined ? {} : { 'Content-Range': download.contentRange }),
    },
    { status: download.status, stallMs },
  );
}

/** The name under which it is saved, in UTF-8 and in ASCII for old clients (RFC 6266). */
export function attachment(name: string): Record<string, string> {
  return { 'Content-Disposition': create(name, { type: 'attachment' }) };
}

/**
 * Pipes bytes to the client. When they end early the connection is cut, so that the client does not take a part for the whole;
 * when nothing moves for `stallMs`, too.
 */
export async function sendBytes(
  c: HttpContext,
  body: Readable,
  headers: Readonly<Record<string, string>>,
  options: { status: 200 | 206; stallMs: number },
): Promise<Response> {
  const all = { 'Cache-Control': 'no-store', ...headers };
  if (c.req.method === 'HEAD') {
    body.destroy();
    return c.body(null, options.status, all);
  }
  const { outgoing } = nodeOf(c);
  outgoing.writeHead(options.status, all);
  outgoing.setTimeout(options.stallMs, () => outgoing.destroy(new Error('nothing moved')));
  try {
    await pipeline(body, outgoing);
  } catch (error) {
    c.get('log').info({ err: error, path: c.req.path }, 'download ended early');
    outgoing.destroy();
  }
  return RESPONSE_ALREADY_SENT;
}
