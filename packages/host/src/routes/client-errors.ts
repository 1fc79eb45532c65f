import { randomUUID } from 'node:crypto';
import type { Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, type ErrorCode } from '@citb/api';
import { type Logger, toApiError } from '@citb/daemon';
import { RequestError } from '@hono/node-server';
import { answerRaw } from './raw-answer.ts';

const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

/** What node cannot parse as HTTP never reaches a route; it is answered here, in the form of every other error. */
export function answerClientErrors(http: Server): void {
  const answering = new WeakMap<Duplex, ServerResponse>();
  http.on('request', ({ socket }, response) => answering.set(socket, response));
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const response = answering.get(socket);
    // Not into the middle of another answer.
    if (response?.headersSent === true && !response.writableFinished) socket.destroy();
    else answerRaw(socket, new ApiError(codes[error.code ?? ''] ?? 'bad_request'), `req_${randomUUID()}`);
  });
}

/** The answer to what fails before a route is found (no URL can be made of the request) or outside of all of them. */
export function answerOutside(error: unknown, log: Logger): Response {
  const known = error instanceof RequestError ? new ApiError('bad_request', `${error.message}.`) : toApiError(error);
  const requestId = `req_${randomUUID()}`;
  if (known.status >= 500) log.error({ err: error, request_id: requestId }, 'request failed');
  return Response.json(known.body(requestId), { status: known.status, headers: { 'X-Request-Id': requestId } });
}
