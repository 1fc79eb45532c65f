import { type Server, type ServerResponse, createServer } from 'node:http';
import { join } from 'node:path';
import { guestUser, limits } from '@citb/api';
import { Filesystem } from '@citb/api/gen/filesystem_pb.js';
import { Process } from '@citb/api/gen/process_pb.js';
import { type Logger, createHttp } from '@citb/daemon';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { getRequestListener } from '@hono/node-server';
import { guestFlush } from '../flush.ts';
import { openTree } from '../tree/index.ts';
import type { Envd } from './context.ts';
import { answerInit } from './init.ts';
import { filesystemService } from './filesystem/service.ts';
import { Watchers } from './filesystem/watchers.ts';
import { admits, refuse } from './gate.ts';
import type { Machine } from './machine.ts';
import { Pipes } from './process/pipes.ts';
import { Processes } from './process/processes.ts';
import { processService } from './process/service.ts';
import { fileRoutes } from './routes/files.ts';
import { standstillRoutes } from './routes/standstill.ts';
import { stateRoutes } from './routes/state.ts';
import { workspaceRoutes } from './routes/workspace.ts';
import { withRpcFaults } from './rpc-faults.ts';
import { Session } from './session.ts';
import { Uploads, isUpload } from './uploads.ts';
import type { Users } from './users.ts';

export interface EnvdOptions {
  /** Folder of the workspace. */
  readonly workspace: string;
  /** Folder of `init.json`. */
  readonly runFolder: string;
  readonly machine: Machine;
  readonly users: Users;
  readonly log: Logger;
  /** True when it runs as root: then it acts as the users that it is asked for. */
  readonly root: boolean;
  /** Command line of the program that takes large files from a connection, `receive.c`. */
  readonly receiver: readonly [string, ...string[]];
}

export interface EnvdServer {
  /** Listens and resolves with the port. 0 asks for a free one. */
  listen(port: number, host: string): Promise<number>;
  /** Ends all connections. Processes that were started run on. */
  close(): Promise<void>;
}

/** envd: E2B's process and filesystem services and file routes, and our own `/workspace` and `/processes`, on one port. */
export async function createEnvd(options: EnvdOptions): Promise<EnvdServer> {
  const { log, machine, users, root } = options;
  const user = (await users.find(guestUser.name)) ?? guestUser;
  const owner = root ? { uid: user.uid, gid: user.gid } : undefined;
  const session = new Session({ folder: options.runFolder, gid: owner?.gid });
  await session.load();
  // An envd that was killed right after the first call may not have come to it.
  if (session.init?.identity !== undefined) machine.setIdentity(session.init.identity);
  const flush = guestFlush();
  const pipes = new Pipes(join(options.runFolder, 'pipes'));
  const envd: Envd = {
    session,
    users,
    machine,
    log,
    root,
    flush,
    processes: new Processes(pipes, flush),
    workspace: openTree({ root: options.workspace, confined: true, owner }),
    workspacePath: options.workspace,
    system: openTree({ root: '/', confined: false, owner }),
  };
  const watchers = new Watchers();
  const uploads = new Uploads(envd, options.receiver);
  const server = serverOf(envd, watchers, uploads);
  let ahead: NodeJS.Timeout | undefined;
  return {
    async listen(port, host) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, resolve);
      });
      // Not at once: in an emulated guest it would hold up the first answer.
      ahead = setTimeout(() => void pipes.prepare().catch((error: unknown) => log.warn({ err: error }, 'no pipes for processes')), 250);
      ahead.unref();
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : port;
    },
    async close() {
      clearTimeout(ahead);
      watchers.close();
      envd.processes.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      uploads.close();
      await closed;
      await pipes.close();
    },
  };
}

function serverOf(envd: Envd, watchers: Watchers, uploads: Uploads): Server {
  const http = getRequestListener(routesOf(envd).fetch, { overrideGlobalObjects: false });
  const rpc = connectNodeAdapter({
    routes(router) {
      router.service(Process, processService(envd));
      router.service(Filesystem, filesystemService(envd, watchers));
    },
    interceptors: [withRpcFaults],
    // The other end is on the same machine: compression would only cost time.
    acceptCompression: [],
    readMaxBytes: limits.jsonBodyBytes,
    writeMaxBytes: limits.jsonBodyBytes,
    // The server below speaks HTTP/1.1 only.
    fallback: (request, response) => void http(request, response as ServerResponse),
  });
  const server = createServer(
    { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 75_000, highWaterMark: 256 * 1024, shouldUpgradeCallback: isUpload },
    (request, response) => {
      // A client that is gone is no error; without a listener it would be thrown.
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      if (!admits(envd.session, request)) refuse(envd.session, request, response);
      else if (request.url === '/init') void answerInit(envd, request, response);
      else rpc(request, response);
    },
  );
  server.on('upgrade', (request, connection) => void uploads.take(request, connection));
  return server;
}

function routesOf(envd: Envd): ReturnType<typeof createHttp> {
  const app = createHttp(envd.log);
  app.get('/health', (c) => c.body(null, 204));
  stateRoutes(app, envd);
  standstillRoutes(app, envd);
  fileRoutes(app, envd);
  workspaceRoutes(app, envd);
  return app;
}
