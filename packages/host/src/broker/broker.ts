import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import type { Logger } from '@citb/daemon';
import { Agent } from 'undici';
import type { BrokerSockets, ModelKeys } from '../boxes/ports.ts';
import { forward, maxBodyBytes, type Upstream } from './forward.ts';
import type { Ledger } from './ledger.ts';
import { listenPrivately } from './listen.ts';
import { answerOwn, type OwnRequests } from './own-requests.ts';
import { refusals, refuse } from './refusal.ts';

export interface BrokerParts {
  /** Base URL of the Messages API; a path prefix is kept. */
  readonly baseUrl: string;
  readonly keys: Pick<ModelKeys, 'forBox'>;
  readonly ledger: Ledger;
  /** What the host does itself for boxes; undefined: nothing. */
  readonly own?: OwnRequests;
  readonly log: Logger;
  /** User id as which a box's VMM connects; undefined: as this process. */
  readonly ownerOf?: (boxId: string) => number | undefined;
}

export interface Broker extends BrokerSockets {
  /** Closes all sockets and cuts what is open. */
  closeAll(): Promise<void>;
}

/** What a box may ask for, and nothing else. */
const allowed = new Set([
  'POST /v1/messages',
  'POST /v1/messages/count_tokens',
  'GET /v1/models',
  'HEAD /v1/models',
  'GET /api/hello',
  'HEAD /api/hello',
]);

/** Model requests of one box at a time. Claude Code with subagents uses a handful. */
const maxRequests = 32;
const maxConnections = 64;

/**
 * The one way out of a box. Each box has a socket of its own, so it is known by where it connects, never by what it says; the
 * key is added here and never goes in.
 */
export function createBroker({ baseUrl, keys, ledger, own, log, ownerOf }: BrokerParts): Broker {
  const upstream = upstreamOf(baseUrl);
  const open = new Map<string, { server: Server; path: string }>();

  function answer(boxId: string, request: IncomingMessage, response: ServerResponse): void {
    if (answerOwn(own, boxId, request, response)) return;
    const [path = '', query] = (request.url ?? '').split('?', 2);
    if (!allowed.has(`${request.method} ${path}`)) {
      log.info({ box: boxId, method: request.method, path: path.slice(0, 200) }, 'the broker refused a request of a box');
      return refuse(response, refusals.path);
    }
    // Claude Code asks whether the endpoint is there; the broker is.
    if (path === '/api/hello') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) return refuse(response, refusals.tooLarge);
    const key = keys.forBox(boxId);
    if (key === undefined) return refuse(response, refusals.noKey);
    void forward(upstream, request, response, { boxId, key, path: path + cleanQuery(query), ledger });
  }

  async function close(boxId: string): Promise<number> {
    const entry = open.get(boxId);
    if (entry === undefined) return 0;
    open.delete(boxId);
    const connections = await connectionsOf(entry.server);
    const closed = new Promise((resolve) => entry.server.close(resolve));
    entry.server.closeAllConnections();
    await closed;
    await rm(entry.path, { force: true });
    return connections;
  }

  return {
    async open(boxId, socketPath) {
      await close(boxId);
      let busy = 0;
      const server = createServer(serverLimits, (request, response) => {
        busy += 1;
        response.once('close', () => (busy -= 1));
        try {
          if (busy > maxRequests) refuse(response, refusals.tooMany);
          else answer(boxId, request, response);
        } catch (error) {
          log.error({ err: error, box: boxId }, 'the broker failed');
          refuse(response, refusals.broken);
        }
      });
      server.maxConnections = maxConnections;
      // Longer than the model may be silent: it ends what a guest does not read.
      server.timeout = 15 * 60_000;
      server.on('clientError', (_error, socket) => socket.destroy());
      await listenPrivately(server, socketPath, ownerOf?.(boxId));
      open.set(boxId, { server, path: socketPath });
    },
    connections: async (boxId) => {
      const entry = open.get(boxId);
      return entry === undefined ? 0 : await connectionsOf(entry.server);
    },
    close,
    async closeAll() {
      await Promise.all([...open.keys()].map(close));
      await upstream.dispatcher.destroy();
    },
  };
}

function connectionsOf(server: Server): Promise<number> {
  return promisify(server.getConnections.bind(server))();
}

/** A guest that sends half a request, or nothing, has its connection ended. Times in ms, sizes in bytes. */
const serverLimits = {
  maxHeaderSize: 32 * 1024,
  headersTimeout: 20_000,
  // Of the whole request with its body: 64 MiB through an emulated network card take a while.
  requestTimeout: 300_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 5000,
} as const;

function upstreamOf(baseUrl: string): Upstream {
  const url = new URL(baseUrl);
  return {
    dispatcher: new Agent({ connect: { timeout: 10_000 }, maxHeaderSize: 64 * 1024 }),
    origin: url.origin,
    prefix: url.pathname.replace(/\/+$/, ''),
    names: [url.host, url.hostname],
  };
}

/** `?beta=true` and the like: plain names and values, or nothing. */
function cleanQuery(query: string | undefined): string {
  return query !== undefined && /^[\w.=&-]{1,200}$/.test(query) ? `?${query}` : '';
}
