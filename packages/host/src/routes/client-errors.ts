import { randomUUID } from 'node:crypto';
import { type Server, STATUS_CODES } from 'node:http';
import { ApiError, type ErrorCode } from '@citb/api';

const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

/** What node cannot parse as HTTP never reaches a route; it is answered here, in the form of every other error. */
export function answerClientErrors(http: Server): void {
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const known = new ApiError(codes[error.code ?? ''] ?? 'bad_request');
    const body = JSON.stringify(known.body(`req_${randomUUID()}`));
    socket.end(
      `HTTP/1.1 ${known.status} ${STATUS_CODES[known.status] ?? ''}\r\nConnection: close\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
}
