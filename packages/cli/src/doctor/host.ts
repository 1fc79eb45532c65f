import { createServer } from 'node:net';
import { once } from 'node:events';
import type { HostHealth } from '@citb/api';
import { ApiError, Citb, ConnectionError } from '@citb/sdk';
import type { FoundConnection } from '../connection.ts';
import { type Finding, failure, ok, warning } from './check.ts';

/** What the host at the found address says of itself; the error when there is none. */
export async function askHealth(connection: FoundConnection): Promise<HostHealth | Error> {
  try {
    await using citb = new Citb({ url: connection.url, apiKey: '' });
    return await citb.health({ signal: AbortSignal.timeout(5000) });
  } catch (error) {
    return error as Error;
  }
}

/** The host: running, ready. Without one, whether its port is free. */
export async function checkHost({ url, urlFrom }: FoundConnection, health: HostHealth | Error): Promise<Finding> {
  if (!(health instanceof Error)) {
    const found = `${health.status} at ${url} (${urlFrom}), version ${health.version}`;
    return health.status === 'ok'
      ? ok('host', found)
      : warning('host', `${found}: ${health.reason ?? 'no reason given'}`, 'Look at the log of the host.');
  }
  if (health instanceof ConnectionError && health.kind === 'protocol') {
    return failure(
      'host',
      `something else answers at ${url}`,
      'Stop it, or give the host another port with CITB_PORT (and CITB_URL to the clients).',
    );
  }
  const { hostname, port } = new URL(url);
  if (urlFrom === 'default' && !(await isFree(hostname, Number(port)))) {
    return failure('host', `port ${port} is taken by something that does not answer`, 'Give the host another port with CITB_PORT.');
  }
  return warning('host', `none runs at ${url} (${urlFrom})`, 'Start it: citb host');
}

/** The key of the API: found, and taken by the host where one runs. */
export async function checkApiKey(connection: FoundConnection, health: HostHealth | Error): Promise<Finding> {
  const { keyFrom } = connection;
  const running = !(health instanceof Error);
  if (keyFrom === undefined) {
    return running
      ? failure('api key', 'none found', 'Set CITB_API_KEY, or run as the user who owns the data directory of the host.')
      : ok('api key', 'none yet: the host makes one at its first start');
  }
  if (!running) return ok('api key', `from ${keyFrom}`);
  try {
    await using citb = new Citb({ url: connection.url, apiKey: connection.apiKey });
    await citb.status();
    return ok('api key', `from ${keyFrom}, and the host takes it`);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'unauthorized')
      return failure('api key', `from ${keyFrom}, but the host does not take it`, 'Set CITB_API_KEY to the key of this host.');
    return warning('api key', `from ${keyFrom}; could not be tried: ${(error as Error).message}`, 'Look at the host first.');
  }
}

/** The Anthropic key: of the running host, else of this environment. */
export async function checkModelKey(connection: FoundConnection, health: HostHealth | Error, env: NodeJS.ProcessEnv): Promise<Finding> {
  const todo = 'Start the host with ANTHROPIC_API_KEY, or give boxes their own: citb create --env ANTHROPIC_API_KEY.';
  const ofHost = health instanceof Error ? undefined : await hostHasKey(connection);
  if (ofHost === true) return ok('model key', 'the host has one');
  if (ofHost === false) return warning('model key', 'the host has none of its own', todo);
  const here = env['ANTHROPIC_API_KEY'];
  return here === undefined || here === ''
    ? warning('model key', 'ANTHROPIC_API_KEY is not set here', todo)
    : ok('model key', 'ANTHROPIC_API_KEY is set here');
}

async function hostHasKey(connection: FoundConnection): Promise<boolean | undefined> {
  try {
    await using citb = new Citb({ url: connection.url, apiKey: connection.apiKey ?? '' });
    return (await citb.status()).host.model.default_key;
  } catch {
    return undefined;
  }
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
