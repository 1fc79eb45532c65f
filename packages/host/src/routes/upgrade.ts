import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, boxId, limits, terminalQuery } from '@citb/api';
import { type Logger, toApiError } from '@citb/daemon';
import { WebSocketServer } from 'ws';
import type { Services, Terminal } from '../services.ts';
import { type ApiKeyCheck, bearer, checkKey } from './auth.ts';
import { answerRaw } from './raw-answer.ts';
import { parseQuery } from './register.ts';
import type { StreamSettings } from './stream.ts';
import { serveTerminal } from './terminal.ts';

const protocol = 'citb';
const terminalPath = /^\/v1\/boxes\/([^/]+)\/terminal$/;

/**
 * Takes WebSocket upgrades of the terminal route. The terminal is opened before the upgrade is accepted, so that what is wrong is an
 * HTTP error with the table's body. Returns how to cut those that are still open.
 */
export function acceptTerminals(
  http: Server,
  { services, apiKeyCheck, log, settings }: { services: Services; apiKeyCheck: ApiKeyCheck; log: Logger; settings: StreamSettings },
): () => void {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: limits.frameBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });

  const accept = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const left = new AbortController();
    socket.once('close', () => left.abort());
    try {
      const terminal = await openTerminal(request, services, apiKeyCheck, AbortSignal.any([left.signal, settings.stopping]));
      sockets.handleUpgrade(request, socket, head, (client) => serveTerminal(client, terminal, settings, left, log));
    } catch (error) {
      const known = settings.stopping.aborted ? new ApiError('host_stopping') : toApiError(error);
      const requestId = `req_${randomUUID()}`;
      if (known.status >= 500) log.error({ err: error, request_id: requestId }, 'terminal failed');
      answerRaw(socket, known, requestId);
    }
  };
  http.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    void accept(request, socket, head);
  });
  return () => sockets.clients.forEach((client) => client.terminate());
}

async function openTerminal(request: IncomingMessage, services: Services, check: ApiKeyCheck, signal: AbortSignal): Promise<Terminal> {
  checkKey(check, keyOf(request));
  const url = parseUrl(request.url ?? '/');
  const name = terminalPath.exec(url.pathname)?.[1];
  if (request.method !== 'GET' || name === undefined) throw new ApiError('not_found', 'No WebSocket is spoken at this address.');
  const id = boxId.safeParse(name);
  if (!id.success) throw new ApiError('box_not_found', undefined, { field: 'box' });
  const { cols, rows, pid, user } = parseQuery(url.searchParams, terminalQuery);
  const options = { cols, rows, ...(pid === undefined ? {} : { pid }), ...(user === undefined ? {} : { user }) };
  return services.processes.terminal(id.data, options, signal);
}

function parseUrl(target: string): URL {
  const url = URL.parse(target, 'http://host');
  if (url === null) throw new ApiError('bad_request');
  return url;
}

/** From the headers, or, for browsers, from a subprotocol `key.<base64url>`. */
function keyOf({ headers }: IncomingMessage): string | undefined {
  const given = headers['x-api-key'];
  if (typeof given === 'string') return given;
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  const encoded = offered.find((name) => name.startsWith('key.'))?.slice('key.'.length);
  return encoded === undefined ? bearer(headers.authorization) : Buffer.from(encoded, 'base64url').toString('utf8');
}
