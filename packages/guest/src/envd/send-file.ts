import { type ByteRange, type HttpContext, parseRange } from '@citb/daemon';
import type { OpenFile } from '../tree/index.ts';
import { sendBlocks, sendStream } from './raw.ts';

/** Answers with a file, or the part of it that `Range` asks for. HEAD gets the headers only. Closes the file. */
export async function sendFile(c: HttpContext, file: OpenFile, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const { size, mtime } = file.stats;
  let range: ByteRange | undefined;
  try {
    range = parseRange(c.req.header('range'), size);
  } catch (error) {
    await file.close();
    c.header('Content-Range', `bytes */${size}`);
    throw error;
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  const all = {
    'Content-Type': 'application/octet-stream',
    'Content-Length': end - start + 1,
    'Last-Modified': httpDate(mtime),
    'Accept-Ranges': 'bytes',
    ...(range === undefined ? {} : { 'Content-Range': `bytes ${start}-${end}/${size}` }),
    ...headers,
  };
  const status = range === undefined ? 200 : 206;
  if (c.req.method !== 'HEAD') return sendBlocks(c, status, all, file, { start, size: end - start + 1 });
  await file.close();
  return sendStream(c, status, all, undefined);
}

function httpDate(time: Date): string {
  return (Number.isNaN(time.getTime()) ? new Date(0) : time).toUTCString();
}
