import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { pino } from 'pino';
import { z } from 'zod';
import { readJson } from './body.ts';
import { createHttp } from './http.ts';

/** A daemon's HTTP with two routes, and the lines of its log. */
async function daemon(t: TestContext): Promise<{ url: string; lines: { status?: number; path?: string }[] }> {
  const lines: { status?: number; path?: string }[] = [];
  const app = createHttp(pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as object) }));
  app.post('/name', async (c) => c.json(await readJson(c, z.object({ name: z.string() }))));
  app.get('/stream', (c) => {
    (c.env as { outgoing: ServerResponse }).outgoing.writeHead(206).end('part');
    return RESPONSE_ALREADY_SENT;
  });
  const server = createServer((request, response) => void getRequestListener(app.fetch)(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, lines };
}

async function said(response: Response): Promise<{ code: string; message: string; hint: string }> {
  return ((await response.json()) as { error: { code: string; message: string; hint: string } }).error;
}

test('the log has the status that was sent, also when a route wrote it itself', async (t) => {
  const { url, lines } = await daemon(t);
  for (const path of ['/stream', '/nothing']) await (await fetch(url + path)).text();
  assert.deepEqual(
    lines.map(({ path, status }) => [path, status]),
    [
      ['/stream', 206],
      ['/nothing', 404],
    ],
  );
});

test('a body that is not UTF-8 is refused, a byte order mark is left out, a missing field is called missing', async (t) => {
  const { url } = await daemon(t);
  const post = async (...bytes: (string | number[])[]): Promise<Response> =>
    fetch(`${url}/name`, { method: 'POST', body: Buffer.concat(bytes.map((part) => Buffer.from(part as string))) });
  assert.equal((await said(await post('{"name":"a', [0xff], '"}'))).code, 'invalid_json');
  assert.deepEqual(await (await post([0xef, 0xbb, 0xbf], '{"name":"ä"}')).json(), { name: 'ä' });
  assert.equal((await said(await post('{}'))).message, 'name: is missing');
});

test('an address with one slash too many is told so', async (t) => {
  const { url } = await daemon(t);
  assert.match((await said(await fetch(`${url}/stream/`))).hint, /Leave out the "\/"/);
});
