/** E2B's clients say in this header how often a quiet stream shall show that it lives, in seconds. */
const header = 'Keepalive-Ping-Interval';

/** E2B's own value when the header is missing, in ms. */
const defaultMs = 90_000;

/** How often to send a keep-alive on a quiet stream, in ms: what the caller wants, from 1 s to the default. */
export function keepAliveMs(headers: Headers): number {
  const seconds = Number(headers.get(header) ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(Math.max(seconds * 1000, 1000), defaultMs) : defaultMs;
}
