import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { ApiError } from '@citb/api';
import { pino } from 'pino';
import { z } from 'zod';
import { readJson } from './body.ts';
import { createHttp } from './http.ts';

interface Line {
  status?: number;
  path?: string;
  level?: number;
  msg?: string;
  reason?: string;
  err?: { stack: string };
}

/** A daemon's HTTP with a few routes, and the lines of its log. */
async function daemon(t: TestContext): Promise<{ url: string; lines: Line[] }> {
  const lines: Line[] = [];
  const app = createHttp(pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as object) }));
  app.post('/name', async (c) => c.json(await readJson(c, z.object({ name: z.string() }))));
  app.get('/stream', (c) => {
    (c.env as { outgoing: ServerResponse }).outgoing.writeHead(206).end('part');
    return RESPONSE_ALREADY_SENT;
  });
  app.get('/full', () => {
    throw new ApiError('host_full');
  });
  app.get('/broken', () => {
    throw new ApiError('box_failed', undefined, { cause: new Error('the disk is gone') });
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

test('the log has a refusal in its own words, and a failure with its stack and cause', async (t) => {
  const { url, lines } = await daemon(t);
  for (const path of ['/full', '/broken', '/nothing']) await (await fetch(url + path)).text();
  const [refused, failed, ...others] = lines.filter(({ msg }) => msg !== 'request');
  assert.deepEqual([refused?.level, refused?.reason, refused?.err], [40, 'This host has no room for another box.', undefined]);
  assert.equal(failed?.level, 50);
  assert.match(failed?.err?.stack ?? '', /The box could not be started\.[^]*caused by: Error: the disk is gone/);
  assert.deepEqual(others, []);
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
