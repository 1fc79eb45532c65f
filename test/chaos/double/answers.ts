import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { ApiError } from '@citb/api/errors.ts';

/** One request to a service of the guest. */
export interface Question {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly token: string;
}

export type Answer = { readonly status: number; readonly json?: unknown; readonly bytes?: Buffer };

/** Answers, or `undefined` when the response was taken over. */
export type Service = (question: Question, response: ServerResponse) => Answer | undefined | Promise<Answer | undefined>;

/** A server that speaks as the services in a box do; errors in the form of the table. */
export function guestServer(service: Service): Server {
  return createServer((request, response) => {
    respond(service, request, response).catch(() => response.destroy());
  });
}

async function respond(service: Service, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://guest');
  try {
    const question: Question = {
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      body: await buffer(request),
      token: String(request.headers['x-access-token'] ?? ''),
    };
    const answer = await service(question, response);
    if (answer === undefined) return;
    if (answer.bytes !== undefined) {
      const headers = { 'content-length': answer.bytes.length, 'last-modified': new Date().toUTCString() };
      response.writeHead(answer.status, headers).end(answer.bytes);
    } else if (answer.json !== undefined)
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.json));
    else response.writeHead(answer.status).end();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    response.writeHead(error.status, { 'content-type': 'application/json' }).end(JSON.stringify(error.body('req_guest')));
  }
}
