import type { ServerResponse } from 'node:http';

/** Anthropic's error types, as far as the broker says them. */
type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'not_found_error'
  | 'request_too_large'
  | 'rate_limit_error'
  | 'api_error'
  | 'overloaded_error';

/** An error of the broker's own, in the form that clients of the Messages API understand. */
export interface Refusal {
  readonly status: number;
  readonly type: ErrorType | (string & {});
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Without it Claude Code asks eleven times over almost three minutes after a 401. */
const noRetry = { 'x-should-retry': 'false' };

export const refusals = {
  path: { status: 403, type: 'permission_error', message: 'This box may only reach the model endpoint.', headers: noRetry },
  noKey: {
    status: 401,
    type: 'authentication_error',
    message: 'There is no Anthropic key for this box. Create the box with env_vars.ANTHROPIC_API_KEY, or start the host with one.',
    headers: noRetry,
  },
  keyRefused: {
    status: 401,
    type: 'authentication_error',
    message: 'The Anthropic key of this box was refused by the model endpoint.',
    headers: noRetry,
  },
  tooLarge: { status: 413, type: 'request_too_large', message: 'The request has more bytes than the host passes on.' },
  tooMany: {
    status: 429,
    type: 'rate_limit_error',
    message: 'Too many model requests of this box are under way.',
    headers: { 'retry-after': '2' },
  },
  broken: { status: 500, type: 'api_error', message: 'The host could not handle this request.' },
  unreachable: { status: 502, type: 'api_error', message: 'The model endpoint cannot be reached from the host.' },
  silent: { status: 504, type: 'api_error', message: 'The model endpoint did not answer in time.' },
} as const satisfies Record<string, Refusal>;

/** Answers with an error, or cuts an answer that has begun. The connection ends with it: what is left of the request is not read. */
export function refuse(response: ServerResponse, { status, type, message, headers }: Refusal): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = JSON.stringify({ type: 'error', error: { type, message } });
  response.writeHead(status, { 'content-type': 'application/json', ...headers, connection: 'close' });
  response.end(body);
}
