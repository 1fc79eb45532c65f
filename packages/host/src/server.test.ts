import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { errorTable, type ErrorCode, limits } from '@citb/api';
import { allRoutes } from '@citb/api/routes/index.ts';
import { refused, testClient } from '@citb/testkit/services/index.ts';

/** Sends bytes as they are and resolves with all that comes until the connection ends. */
async function raw(url: string, ...parts: string[]): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  for (const part of parts) socket.write(part);
  return readToEnd(socket);
}

async function readToEnd(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  await once(socket, 'close');
  return text;
}

function answered(text: string, code: ErrorCode): void {
  assert.match(text, new RegExp(`^HTTP/1\\.1 ${errorTable[code].status} `), text);
  const body = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as { error: { code: string }; detail: string };
  assert.equal(body.error.code, code);
  assert.ok(body.detail);
}

test('every route but the public ones needs the key, before anything else is looked at', async (t) => {
  const { url, apiKey } = await testClient(t);
  for (const spec of allRoutes) {
    const path = spec.path.replaceAll(/\{\w+\}/g, 'x');
    const method = spec.method.toUpperCase();
    const body = method === 'GET' ? {} : { body: '{broken' };
    if (spec.public === true) {
      assert.equal((await fetch(url + path, { method })).status, 200, path);
      continue;
    }
    for (const headers of [{}, { 'X-API-Key': 'wrong' }, { Authorization: `Basic ${apiKey}` }] as Record<string, string>[]) {
      const response = await fetch(url + path, { method, headers, ...body });
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer/);
      await refused(response, 'unauthorized');
    }
  }
  assert.equal((await fetch(`${url}/status`, { headers: { Authorization: `Bearer ${apiKey}` } })).status, 200);
  await refused(await fetch(`${url}/v1/nothing`), 'unauthorized');
});

test('a body is not read before the key is checked', async (t) => {
  const { url } = await testClient(t);
  const head = `POST /create_microvm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n`;
  const answer = await raw(url, head);
  assert.ok(!answer.includes('100 Continue'), answer);
  assert.match(answer, /^HTTP\/1\.1 401 /);
});

test('a client that waits for 100 Continue gets it with the right key', async (t) => {
  const { url, apiKey } = await testClient(t);
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(
    `POST /create_microvm HTTP/1.1\r\nHost: x\r\nX-API-Key: ${apiKey}\r\nContent-Type: application/json\r\n` +
      `Content-Length: 15\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
  );
  const [first] = (await once(socket, 'data')) as [Buffer];
  assert.match(first.toString(), /^HTTP\/1\.1 100 /);
  socket.write('{"user_id":"u"}');
  assert.match(await readToEnd(socket), /HTTP\/1\.1 200 /);
});

test('a JSON body that is none, or has another form, is refused', async (t) => {
  const { call } = await testClient(t);
  const post = (body: string, type = 'application/json') => call('POST', '/create_microvm', { body, headers: { 'Content-Type': type } });
  for (const body of ['{', '{"user_id": }', "{'user_id': 'x'}", '\u0000']) await refused(await post(body), 'invalid_json');
  for (const body of ['[]', 'null', '"x"', '7']) await refused(await post(body), 'invalid_request');
  await refused(await post(''), 'invalid_request');
  await refused(await post('{"user_id":"x"}', 'text/plain'), 'unsupported_media_type');
  await refused(await post('user_id=x', 'application/x-www-form-urlencoded'), 'unsupported_media_type');
  assert.equal((await post('{"user_id":"x"}', 'application/json; charset=utf-8')).status, 200);
});

test('a body beyond the limit is refused, declared or not', async (t) => {
  const { url, apiKey } = await testClient(t);
  const head = `POST /create_microvm HTTP/1.1\r\nHost: x\r\nX-API-Key: ${apiKey}\r\nContent-Type: application/json\r\n`;
  answered(await raw(url, `${head}Content-Length: ${limits.jsonBodyBytes + 1}\r\n\r\n{`), 'body_too_large');
  const chunk = `${(1024 * 1024).toString(16)}\r\n${' '.repeat(1024 * 1024)}\r\n`;
  const parts = Array.from({ length: limits.jsonBodyBytes / (1024 * 1024) + 1 }, () => chunk);
  answered(await raw(url, `${head}Transfer-Encoding: chunked\r\n\r\n`, ...parts), 'body_too_large');
});

test('a body that stops coming is given up', async (t) => {
  const { url, apiKey } = await testClient(t, { bodyIdleMs: 100 });
  const head = `HTTP/1.1\r\nHost: x\r\nX-API-Key: ${apiKey}\r\nContent-Length: 100\r\n\r\n`;
  answered(await raw(url, `POST /create_microvm ${head}{"user`), 'request_timeout');
  // Time spent on the answer does not count. The body itself must come in time, also on a machine that is busy.
  const { call, services } = await testClient(t, { bodyIdleMs: 2000 });
  const create = services.boxes.create.bind(services.boxes);
  services.boxes.create = async (...args) => {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return create(...args);
  };
  assert.equal((await call('POST', '/create_microvm', { json: { user_id: 'u' } })).status, 200);
});

test('what is no HTTP, or too much of it, is answered in the form of every error', async (t) => {
  const { url, call } = await testClient(t);
  answered(await raw(url, 'nonsense\r\n\r\n'), 'bad_request');
  answered(await raw(url, `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(limits.headerBytes)}\r\n\r\n`), 'headers_too_large');
  for (const request of ['GET /a\\b HTTP/1.1\r\nHost: x', 'GET /health HTTP/1.1\r\nHost: a b'])
    answered(await raw(url, `${request}\r\nConnection: close\r\n\r\n`), 'bad_request');
  for (const path of ['/%zz', '/v1/boxes/%c3%28', '/status?x=%']) await refused(await call('GET', path), 'bad_request');
});

test('an address that exists says which methods it takes', async (t) => {
  const { call } = await testClient(t);
  const wrong = await call('PUT', '/v1/boxes');
  assert.equal(wrong.headers.get('allow'), 'POST, GET, HEAD, OPTIONS');
  await refused(wrong, 'method_not_allowed');
  const options = await call('OPTIONS', '/v1/boxes/b1');
  assert.equal(options.status, 204);
  assert.equal(options.headers.get('allow'), 'GET, PATCH, DELETE, HEAD, OPTIONS');
  await refused(await call('GET', '/v1/none'), 'not_found');
  await refused(await call('GET', '/v1/boxes/'), 'not_found');
});

test('every answer has the security headers and a request id', async (t) => {
  const { call, url } = await testClient(t);
  await call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  const stream = await call('POST', '/v1/boxes/b1/exec', { json: { command: 'true' }, headers: { 'X-Request-Id': 'mine-1' } });
  assert.equal(stream.headers.get('x-request-id'), 'mine-1');
  await stream.text();
  for (const response of [stream, await fetch(`${url}/health`), await call('GET', '/nothing'), await call('GET', '/docs')]) {
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(response.headers.get('x-frame-options'), 'DENY');
    assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
    assert.ok(response.headers.get('x-request-id'));
    assert.equal(response.headers.get('access-control-allow-origin'), null);
  }
});

test('pages of other origins get answers only when they are configured', async (t) => {
  const closed = await testClient(t);
  const preflight = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' };
  await refused(await fetch(`${closed.url}/v1/boxes`, { method: 'OPTIONS', headers: preflight }), 'forbidden');

  const { url, call } = await testClient(t, { corsOrigins: ['https://app.example'] });
  const allowed = await fetch(`${url}/v1/boxes`, { method: 'OPTIONS', headers: preflight });
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example');
  assert.match(allowed.headers.get('access-control-allow-headers') ?? '', /X-API-Key/);
  const got = await call('GET', '/status', { headers: { Origin: 'https://app.example' } });
  assert.equal(got.headers.get('access-control-allow-origin'), 'https://app.example');
  const other = await call('GET', '/status', { headers: { Origin: 'https://evil.example' } });
  assert.equal(other.headers.get('access-control-allow-origin'), null);
});

test('a stopping server ends its streams in words', async (t) => {
  const { call, lines, services, server } = await testClient(t);
  await call('POST', '/v1/boxes', { json: { id: 'b1' } });
  services.tasks.script = async function* ({ signal }) {
    yield { type: 'text', content: 'working' };
    await once(signal, 'abort');
  };
  const stream = lines(await call('POST', '/v1/boxes/b1/tasks?stream=true', { json: { prompt: 'x' } }));
  await stream.next();
  const stopped = server.stop(10_000);
  const rest = await Array.fromAsync(stream);
  assert.equal(rest.at(-1)?.['type'], 'stream_error');
  assert.equal((rest.at(-1)?.['content'] as { code: string } | undefined)?.code, 'host_stopping');
  await stopped;
});
