import { ApiError, type ErrorCode, isErrorCode } from '@citb/api';
import { z } from 'zod';

/**
 * What a guest may tell a caller. Anything else that it says (it is hostile) is a box that does not answer properly: it must
 * not be able to make an app believe that its API key is wrong, or that the host is failing.
 */
const speakable: ReadonlySet<ErrorCode> = new Set([
  'invalid_json',
  'invalid_request',
  'invalid_path',
  'file_not_found',
  'not_a_file',
  'not_a_directory',
  'path_outside',
  'file_exists',
  'range_not_satisfiable',
  'disk_full',
  'body_too_large',
  'process_not_found',
  'task_not_found',
  'task_ended',
  'question_not_found',
  'queue_full',
]);

const errorAnswer = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** Longest text of a guest that goes into an error, in characters. */
const maxText = 500;

/** What the status of an answer without a body (to HEAD) means. */
const codesOfHead: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_path',
  403: 'path_outside',
  404: 'file_not_found',
  409: 'not_a_file',
  416: 'range_not_satisfiable',
};

/** The table's error for an answer that was not a success. The hint is always the table's, never the guest's. */
export function guestError(status: number, body: string): ApiError {
  const headCode = codesOfHead[status];
  if (body === '' && headCode !== undefined) return new ApiError(headCode);
  const parsed = errorAnswer.safeParse(parseJson(body));
  const code = parsed.data?.error.code;
  if (code === undefined || !isErrorCode(code) || !speakable.has(code)) {
    return new ApiError('box_unreachable', `A service in the box answered with status ${status}.`);
  }
  return new ApiError(code, guestText(parsed.data?.error.message ?? ''));
}

/** Text of a guest made fit to be shown: one line, no control characters, at most 500 characters. */
export function guestText(text: string): string {
  return text
    .slice(0, maxText * 2)
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, maxText)
    .toWellFormed();
}

/** For everything else that goes wrong on the way to a guest: no connection, a cut, a time-out, nonsense. */
export function unreachable(cause: unknown, message?: string): ApiError {
  return cause instanceof ApiError ? cause : new ApiError('box_unreachable', message, { cause });
}

/** The value of a JSON text; undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
