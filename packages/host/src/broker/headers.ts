import type { IncomingHttpHeaders } from 'node:http';

/** What of a guest's request goes upstream. Everything else stays here, above all whatever the guest uses as a key. */
const requestHeaders = new Set([
  'accept',
  'content-type',
  'user-agent',
  'x-app',
  'x-client-app',
  'x-claude-code-session-id',
  'x-claude-code-agent-id',
]);
const requestPrefixes = ['anthropic-', 'x-stainless-'];

/** What of an answer goes to the guest: what it needs to read the body, to retry, and to report a request. */
const answerHeaders = new Set(['content-type', 'content-encoding', 'retry-after', 'retry-after-ms', 'x-should-retry', 'request-id']);
const answerPrefixes = ['anthropic-ratelimit-'];

/** Headers of the upstream request: the guest's, as far as they are harmless, and the host's key. Without accept-encoding: what comes is passed on as it is. */
export function upstreamHeaders(guest: IncomingHttpHeaders, key: string): Record<string, string> {
  return { ...pick(guest, requestHeaders, requestPrefixes), 'x-api-key': key };
}

/** Headers of the answer to the guest. */
export function guestHeaders(upstream: IncomingHttpHeaders): Record<string, string> {
  return pick(upstream, answerHeaders, answerPrefixes);
}

function pick(headers: IncomingHttpHeaders, names: ReadonlySet<string>, prefixes: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !(names.has(name) || prefixes.some((prefix) => name.startsWith(prefix)))) continue;
    picked[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return picked;
}
