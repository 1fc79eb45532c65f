import type { TestContext } from 'node:test';
import { createServicesDouble, type ServicesDouble } from './double.ts';
import { startServer, type StartedServer } from './start-server.ts';

export interface TestClient extends StartedServer {
  readonly services: ServicesDouble;
  readonly apiKey: string;
  /** A request with the key. A plain object as `json` is sent as JSON. */
  readonly call: (method: string, path: string, init?: RequestInit & { json?: unknown }) => Promise<Response>;
  /** The answer's JSON lines as they come; empty lines are heartbeats and left out. */
  readonly lines: (response: Response) => AsyncGenerator<Record<string, unknown>>;
}

/** A server over doubles and a client for it, for one test; gone when the test ends. */
export async function testClient(t: TestContext, options: Partial<Parameters<typeof startServer>[1]> = {}): Promise<TestClient> {
  const apiKey = options.apiKey ?? 'test-key';
  const services = await createServicesDouble();
  const started = await startServer(services, { apiKey, ...options });
  t.after(async () => {
    await started[Symbol.asyncDispose]();
    await services[Symbol.asyncDispose]();
  });
  return {
    ...started,
    services,
    apiKey,
    call: (method, path, { json, headers, ...init } = {}) =>
      fetch(`${started.url}${path}`, {
        method,
        redirect: 'manual',
        headers: { 'X-API-Key': apiKey, ...(json === undefined ? {} : { 'Content-Type': 'application/json' }), ...(headers as object) },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...init,
      }),
    lines,
  };
}

async function* lines(response: Response): AsyncGenerator<Record<string, unknown>> {
  if (response.body === null) return;
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split('\n');
    rest = whole.pop() ?? '';
    for (const line of whole) if (line !== '') yield JSON.parse(line) as Record<string, unknown>;
  }
}
