import { ApiError, isErrorCode } from '@citb/api';
import { z } from 'zod';

/**
 * The host was not reached, or what answered is not a host. An answer of the host itself is an `ApiError` of @citb/api,
 * with its code, hint and request id.
 */
export class ConnectionError extends Error {
  /** `unreachable`: no connection or a broken one. `protocol`: an answer that the API does not have. */
  readonly kind: 'unreachable' | 'protocol';
  readonly hint: string;

  constructor(kind: 'unreachable' | 'protocol', message: string, options?: { hint?: string; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ConnectionError';
    this.kind = kind;
    this.hint = options?.hint ?? hints[kind];
  }
}

const hints = {
  unreachable: 'Start the host (`citb host`), or set CITB_URL to the address of one that runs.',
  protocol: 'Check that CITB_URL points at a claude-in-the-box host of the same version.',
} as const;

const errorBody = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string(), request_id: z.string(), field: z.string().optional() }),
});

/**
 * The error of an answer with a status of 400 and more. A code that this version does not know (a newer host) becomes
 * `internal` with the host's own words.
 */
export function errorFromAnswer(status: number, text: string, url: URL): ApiError | ConnectionError {
  const parsed = errorBody.safeParse(parseJson(text));
  if (!parsed.success) {
    return new ConnectionError(
      'protocol',
      `What answers at ${url.origin} is not a claude-in-the-box host (HTTP ${status} without an error body).`,
    );
  }
  return apiError(parsed.data.error);
}

/** An error as it stands in an answer or a stream. */
export function apiError(wire: { code: string; message: string; hint: string; request_id?: string; field?: string | undefined }): ApiError {
  const { code, message, hint, request_id: requestId, field } = wire;
  return new ApiError(isErrorCode(code) ? code : 'internal', message, {
    hint,
    ...(requestId === undefined ? {} : { requestId }),
    ...(field === undefined ? {} : { field }),
  });
}

/** What may do better in a moment: broken connections, a host that restarts, a box that wakes, a reader that was too slow. */
const transientCodes: ReadonlySet<string> = new Set(['host_stopping', 'box_unreachable', 'request_timeout']);

/** True for failures after which the same request may do better in a moment. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ConnectionError) return error.kind === 'unreachable';
  return error instanceof ApiError && transientCodes.has(error.code);
}

/** `undefined` for what is not JSON: no schema takes it. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
