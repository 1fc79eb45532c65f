import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { ApiError, type ErrorCode } from '@citb/api';
import { answerRaw } from './raw-answer.ts';

const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

/** What node cannot parse as HTTP never reaches a route; it is answered here, in the form of every other error. */
export function answerClientErrors(http: Server): void {
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    answerRaw(socket, new ApiError(codes[error.code ?? ''] ?? 'bad_request'), `req_${randomUUID()}`);
  });
}
