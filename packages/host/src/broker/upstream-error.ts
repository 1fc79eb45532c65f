import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { parseJson } from '../guest/errors.ts';
import { guestHeaders } from './headers.ts';
import { type Refusal, refusals } from './refusal.ts';

const errorBody = z.object({ error: z.object({ type: z.string().max(100), message: z.string() }) });

/** Longest text of an upstream error that is passed on, in characters. */
const maxText = 2000;

/**
 * What a guest is told of an upstream failure. A client's mistake keeps its own words, without names of hosts and without the
 * key; a server's failure is told in ours, since gateways write their addresses into those.
 * @param secrets texts that must not appear: the key, the host names of the endpoint
 */
export function upstreamError(status: number, headers: IncomingHttpHeaders, body: string, secrets: readonly string[]): Refusal {
  if (status === 401) return refusals.keyRefused;
  // A redirect or another oddity is not followed: the endpoint is not what the operator thinks it is.
  if (status < 400) return refusals.unreachable;
  const known = errorBody.safeParse(parseJson(body)).data?.error;
  const type = known?.type ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
  const message =
    known === undefined || status >= 500 ? `The model endpoint answered with status ${status}.` : withoutSecrets(known.message, secrets);
  const { 'content-type': _type, 'content-encoding': _encoding, ...kept } = guestHeaders(headers);
  return { status, type, message, headers: kept };
}

function withoutSecrets(text: string, secrets: readonly string[]): string {
  let clean = text.slice(0, maxText);
  for (const secret of secrets) if (secret !== '') clean = clean.replaceAll(secret, '[hidden]');
  return clean.replace(/sk-ant-[A-Za-z0-9_-]+/g, '[hidden]').replace(/\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b/g, '[hidden]');
}
