import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpContext } from '@citb/daemon';

/** node's own request and response behind a context: bytes and streams go through them without a copy in between. */
export function nodeOf(c: HttpContext): { incoming: IncomingMessage; outgoing: ServerResponse } {
  return c.env as { incoming: IncomingMessage; outgoing: ServerResponse };
}
