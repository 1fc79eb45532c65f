import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ApiError, limits } from '@citb/api';
import { processes as processSpecs } from '@citb/api/routes/index.ts';
import { createHttp, type HttpEnv, type Logger } from '@citb/daemon';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { type ApiKeyCheck, requireKey } from './routes/auth.ts';
import { boxRoutes } from './routes/boxes.ts';
import { checkpointRoutes } from './routes/checkpoints.ts';
import { classicRoutes } from './routes/classic.ts';
import { answerClientErrors, answerOutside } from './routes/client-errors.ts';
import { fileRoutes } from './routes/files.ts';
import { bodyDeadline, cors, secureHeaders, validAddress } from './routes/head.ts';
import { hostRoutes } from './routes/host.ts';
import { lifecycleRoutes } from './routes/lifecycle.ts';
import { methodRoutes } from './routes/methods.ts';
import { processRoutes } from './routes/processes.ts';
import { register } from './routes/register.ts';
import { taskRoutes } from './routes/tasks.ts';
import { transferRoutes } from './routes/transfer.ts';
import { acceptTerminals } from './routes/upgrade.ts';
import type { Services } from './services.ts';

export interface ServerOptions {
  readonly version: string;
  /** A classic task of a user without a box creates one. Default: no. */
  readonly autoCreate?: boolean;
  /** Origins whose pages may call the API; `*` for any. Default: none. */
  readonly corsOrigins?: readonly string[];
  /** Connections at once; more are closed at once. Default 2048. */
  readonly maxConnections?: number;
  /** Shorter times for tests; `limits` has the real ones. */
  readonly heartbeatMs?: number;
  readonly stallMs?: number;
  readonly bodyIdleMs?: number;
}

export interface ApiServer {
  readonly app: Hono<HttpEnv>;
  /** Not yet listening. WebSockets and time limits are in place. */
  readonly http: Server;
  /** Takes no new connections, ends streams with `host_stopping`, and resolves when all are closed, at the latest after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** The HTTP side of the host: all routes over `services`. Opens no socket: `server.http.listen(...)` does. */
export function createServer({
  services,
  apiKeyCheck,
  log,
  options,
}: {
  services: Services;
  apiKeyCheck: ApiKeyCheck;
  log: Logger;
  options: ServerOptions;
}): ApiServer {
  const stopping = new AbortController();
  const settings = {
    stopping: stopping.signal,
    heartbeatMs: options.heartbeatMs ?? limits.heartbeatMs,
    stallMs: options.stallMs ?? limits.clientStallMs,
    autoCreate: options.autoCreate ?? false,
  };

  const app = createHttp(log);
  app.use(secureHeaders, cors(options.corsOrigins ?? []), validAddress, requireKey(apiKeyCheck), bodyDeadline(options.bodyIdleMs));
  classicRoutes(app, services, settings);
  boxRoutes(app, services, settings);
  lifecycleRoutes(app, services, settings);
  checkpointRoutes(app, services);
  transferRoutes(app, services, settings);
  taskRoutes(app, services, settings);
  fileRoutes(app, services, settings);
  processRoutes(app, services, settings);
  hostRoutes(app, services, options.version);
  register(app, processSpecs.terminal, ({ c }) => {
    c.header('Upgrade', 'websocket');
    throw new ApiError('upgrade_required');
  });
  methodRoutes(app);

  const listener = getRequestListener(app.fetch, { errorHandler: (error) => answerOutside(error, log) });
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    listener(request, response).catch((error: unknown) => {
      log.error({ err: error }, 'answer failed');
      response.destroy();
    });
  };
  const http = createHttpServer(
    {
      headersTimeout: limits.headersMs,
      // Uploads may take hours; a body that stops coming is ended by bodyDeadline.
      requestTimeout: 0,
      keepAliveTimeout: 65_000,
      maxHeaderSize: limits.headerBytes,
      connectionsCheckingInterval: 5000,
    },
    answer,
  );
  http.maxConnections = options.maxConnections ?? 2048;
  // Whoever waits for "100 Continue" gets it from bodyDeadline, when the key is right.
  http.on('checkContinue', answer);
  answerClientErrors(http);
  const cutTerminals = acceptTerminals(http, { services, apiKeyCheck, log, settings });

  return {
    app,
    http,
    stop: async (graceMs) => {
      const closed = new Promise<void>((resolve) => {
        http.close(() => resolve());
      });
      stopping.abort(new ApiError('host_stopping'));
      // Connections whose answer has ended would be kept for the next request.
      const sweep = setInterval(() => http.closeIdleConnections(), 50);
      const deadline = setTimeout(() => {
        http.closeAllConnections();
        cutTerminals();
      }, graceMs);
      await closed;
      clearInterval(sweep);
      clearTimeout(deadline);
    },
  };
}
