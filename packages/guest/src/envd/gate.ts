import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '@citb/api';
import type { Session } from './session.ts';

/**
 * Who comes in: `/health` and `/init` always (the latter looks at the token itself), everything else only with the
 * box's token in `X-Access-Token`, so nothing before the first `/init`. A signed URL of E2B opens just its one file.
 */
export function admits(session: Session, request: IncomingMessage): boolean {
  const path = pathOf(request);
  if (path === '/health' || path === '/init') return true;
  const token = request.headers['x-access-token'];
  if (token !== undefined) return typeof token === 'string' && session.admits(token);
  return path === '/files' && isSigned(session, request);
}

/** Answers who may not come in, in the form that the clients of this path read. */
export function refuse(session: Session, request: IncomingMessage, response: ServerResponse): void {
  const waiting = session.init === undefined;
  const fault = new ApiError('unauthorized', waiting ? 'This box waits for POST /init.' : 'The access token is missing or wrong.', {
    hint: waiting ? 'The host sends it.' : 'Send the box’s token in X-Access-Token.',
  });
  response.writeHead(401, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(JSON.stringify(refusalBody(pathOf(request), fault)));
}

function refusalBody(path: string, fault: ApiError): unknown {
  if (path.startsWith('/process.') || path.startsWith('/filesystem.')) return { code: 'unauthenticated', message: fault.message };
  if (path.startsWith('/workspace/') || path === '/processes') return fault.body(`req_${randomUUID()}`);
  return { code: 401, message: fault.message };
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}

/** E2B's signed URLs: SHA-256 of path, operation, user, token and expiry, joined by colons. */
function isSigned(session: Session, request: IncomingMessage): boolean {
  const query = new URLSearchParams((request.url ?? '').split('?')[1] ?? '');
  const signature = query.get('signature');
  const token = session.init?.accessToken;
  if (signature === null || token === undefined) return false;
  const expires = query.get('signature_expiration');
  if (expires !== null && !(Number(expires) * 1000 > Date.now())) return false;
  const operation = request.method === 'GET' || request.method === 'HEAD' ? 'read' : 'write';
  const signed = [query.get('path') ?? '', operation, query.get('username') ?? '', token, ...(expires === null ? [] : [expires])].join(':');
  const expected = Buffer.from(`v1_${createHash('sha256').update(signed).digest('base64').replace(/=+$/, '')}`);
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
