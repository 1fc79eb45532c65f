import { Readable } from 'node:stream';
import { unreachable } from '../guest/errors.ts';
import type { GuestAnswer } from '../guest/server.ts';
import type { FileDownload } from '../services.ts';

/**
 * A file as the guest sends it. Its size must be stated: the HTTP client then holds the guest to it, so that the stream has just
 * that many bytes or fails.
 * @throws ApiError `box_unreachable` when the guest's headers make no sense
 */
export function downloadOf(answer: GuestAnswer, head: boolean): FileDownload {
  const { status, headers, body } = answer;
  const size = headers['content-length'] ?? '';
  const range = headers['content-range'];
  const modified = new Date(headers['last-modified'] ?? '');
  const sound =
    /^\d{1,15}$/.test(size) &&
    headers['transfer-encoding'] === undefined &&
    !Number.isNaN(modified.getTime()) &&
    (status === 206 ? range !== undefined && /^bytes \d{1,15}-\d{1,15}\/\d{1,15}$/.test(range) : status === 200);
  if (!sound) {
    body.destroy();
    throw unreachable(undefined, 'The box answered a download with something unexpected.');
  }
  if (head) body.resume();
  return {
    status: status === 206 ? 206 : 200,
    size: Number(size),
    contentRange: status === 206 ? range : undefined,
    modified: modified.toISOString(),
    body: head ? Readable.from([]) : body,
  };
}
