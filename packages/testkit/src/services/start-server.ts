import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createLog } from '@citb/daemon';
import { type ApiServer, createServer, type ServerOptions } from '@citb/host/server.ts';
import type { Services } from '@citb/host/services.ts';

export interface StartedServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly server: ApiServer;
}

/** The host's real HTTP server over any services, on a free port of loopback. Disposing of it ends all connections. */
export async function startServer(services: Services, options: { apiKey: string } & Partial<ServerOptions>): Promise<StartedServer> {
  const { apiKey, ...rest } = options;
  const server = createServer({
    services,
    apiKeyCheck: (key) => key === apiKey,
    log: createLog('test', 'silent'),
    options: { version: '0.0.0-test', ...rest },
  });
  server.http.listen(0, '127.0.0.1');
  await once(server.http, 'listening');
  const { port } = server.http.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, server, [Symbol.asyncDispose]: () => server.stop(0) };
}
