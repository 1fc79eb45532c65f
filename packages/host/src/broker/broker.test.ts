import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, request as httpRequest, type RequestOptions, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createLog } from '@citb/daemon';
import { Store } from '../store.ts';
import { createBroker } from './broker.ts';
import { maxBodyBytes } from './forward.ts';
import { createLedger } from './ledger.ts';

const hostKey = 'sk-ant-host-0123456789';
type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A broker with one box, and an upstream that does what the test says. */
async function bench(upstream: Handler) {
  const stack = new AsyncDisposableStack();
  const server = createServer((request, response) => void upstream(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const folder = await mkdtemp(join(tmpdir(), 'citb-broker-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const ledger = createLedger(new Store(':memory:'));
  const port = (server.address() as AddressInfo).port;
  const keys: { key: string | undefined } = { key: hostKey };
  const broker = createBroker({
    baseUrl: `http://127.0.0.1:${port}/gate/way/`,
    keys: { forBox: () => keys.key },
    ledger,
    log: createLog('test', 'silent'),
  });
  const socketPath = join(folder, 'broker.sock');
  await broker.open('box', socketPath);
  stack.defer(() => broker.closeAll());
  async function ask(options: RequestOptions = {}, body: string | Buffer = ''): Promise<IncomingMessage> {
    const request = httpRequest({ socketPath, method: 'POST', path: '/v1/messages?beta=true', agent: false, ...options });
    request.on('error', () => undefined);
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response;
  }
  return { ask, broker, ledger, keys, socketPath, port, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function errorOf(response: IncomingMessage): Promise<{ type: string; message: string }> {
  const body = JSON.parse(await text(response)) as { type: string; error: { type: string; message: string } };
  assert.equal(body.type, 'error');
  return body.error;
}

test("the host's key goes upstream, the guest's never; only harmless headers pass, in both directions", async () => {
  let seen: IncomingMessage | undefined;
  let received = Buffer.alloc(0);
  await using it = await bench(async (request, response) => {
    seen = request;
    received = await buffer(request);
    response.writeHead(200, {
      'content-type': 'application/json',
      'request-id': 'req_1',
      'anthropic-ratelimit-requests-remaining': '7',
      'anthropic-organization-id': 'org-of-the-host',
      'set-cookie': 'a=b',
      server: 'gateway',
      'x-echo': hostKey,
    });
    response.end('{"ok":true}');
  });
  const body = Buffer.from('{"model":"m", "text":"\u{1F600} as it is"}');
  const headers = {
    'x-api-key': 'sk-of-the-guest',
    authorization: 'Bearer of-the-guest',
    'proxy-authorization': 'Basic x',
    cookie: 'c=d',
    host: 'evil.example',
    'accept-encoding': 'gzip, br',
    'x-forwarded-for': '10.0.0.1',
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'one,two',
    'x-stainless-lang': 'js',
    'x-app': 'cli',
    'user-agent': 'claude',
    'content-type': 'application/json',
  };
  const response = await it.ask({ headers }, body);
  assert.equal(response.statusCode, 200);
  assert.equal(await text(response), '{"ok":true}');
  assert.equal(seen?.url, '/gate/way/v1/messages?beta=true');
  assert.deepEqual(received, body);
  const { host, connection: _, 'content-length': length, ...sent } = seen?.headers ?? {};
  assert.equal(host, `127.0.0.1:${it.port}`);
  assert.equal(length, String(body.length));
  assert.deepEqual(sent, {
    'x-api-key': hostKey,
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'one,two',
    'x-stainless-lang': 'js',
    'x-app': 'cli',
    'user-agent': 'claude',
    'content-type': 'application/json',
  });
  const { date: _date, connection: _connection, 'keep-alive': _alive, 'transfer-encoding': _encoding, ...came } = response.headers;
  assert.deepEqual(came, { 'content-type': 'application/json', 'request-id': 'req_1', 'anthropic-ratelimit-requests-remaining': '7' });
});

test('events are passed on one by one as they come, and their tokens are counted', async () => {
  let go: ServerResponse | undefined;
  await using it = await bench((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    go = response;
  });
  const response = await it.ask({}, '{}');
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const events = [
    'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":12,"output_tokens":1,"cache_read_input_tokens":5}}}\n\n',
    'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"\\"usage\\" \\"message_delta\\" \u{1F600}"}}\n\n',
    'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":34}}\n\n',
  ];
  for (const event of events) {
    go?.write(event);
    // The next is not written before this one has arrived: nothing is kept back.
    assert.equal((await chunks.next()).value?.toString(), event);
  }
  go?.end();
  assert.equal((await chunks.next()).done, true);
  const used = it.ledger.of('box');
  assert.deepEqual({ ...used }, { requests: 1, inputTokens: 12, outputTokens: 34, cacheReadTokens: 5, cacheCreationTokens: 0 });
});

test('everything but the model endpoint is refused', async () => {
  let reached = 0;
  await using it = await bench((_request, response) => {
    reached += 1;
    response.end('{}');
  });
  for (const [method, path] of [
    ['GET', '/v1/messages'],
    ['POST', '/v1/files'],
    ['POST', '/v1/messages/../files'],
    ['POST', '/v1/messages/batches'],
    ['POST', '//v1/messages'],
    ['POST', 'http://evil.example/v1/messages'],
    ['POST', '/V1/messages'],
    ['DELETE', '/v1/models'],
    ['GET', '/'],
    ['OPTIONS', '*'],
  ] as const) {
    const response = await it.ask({ method, path });
    assert.equal(response.statusCode, 403, `${method} ${path}`);
    assert.equal((await errorOf(response)).type, 'permission_error');
  }
  assert.equal(reached, 0);
  assert.equal((await it.ask({ method: 'HEAD', path: '/api/hello' })).statusCode, 200);
  assert.equal((await it.ask({ method: 'GET', path: '/v1/models' })).statusCode, 200);
  assert.equal((await it.ask({ path: '/v1/messages/count_tokens' })).statusCode, 200);
  assert.equal(reached, 2);
});

test('without a key the guest is told so, and not to try again', async () => {
  await using it = await bench(() => assert.fail('nothing goes upstream'));
  it.keys.key = undefined;
  const response = await it.ask({}, '{}');
  assert.equal(response.statusCode, 401);
  assert.equal(response.headers['x-should-retry'], 'false');
  assert.match((await errorOf(response)).message, /no Anthropic key/);
});

test("upstream errors keep their type and retry headers, and lose the key, the host's names and a gateway's words", async () => {
  let status = 400;
  let message = '';
  await using it = await bench((request, response) => {
    request.resume();
    response.writeHead(status, { 'retry-after': '3', 'x-should-retry': 'true', 'x-secret': 's' });
    response.end(JSON.stringify({ type: 'error', error: { type: 'rate_limit_error', message } }));
  });
  message = `key ${hostKey} was limited at 127.0.0.1:${it.port} via sk-ant-other_key-1 by 10.1.2.3:99`;
  status = 429;
  const limited = await it.ask({}, '{}');
  assert.equal(limited.statusCode, 429);
  assert.equal(limited.headers['retry-after'], '3');
  assert.equal(limited.headers['x-should-retry'], 'true');
  assert.equal(limited.headers['x-secret'], undefined);
  const { type, message: told } = await errorOf(limited);
  assert.equal(type, 'rate_limit_error');
  assert.equal(told, 'key [hidden] was limited at [hidden] via [hidden] by [hidden]');
  status = 529;
  assert.deepEqual(await errorOf(await it.ask({}, '{}')), {
    type: 'rate_limit_error',
    message: 'The model endpoint answered with status 529.',
  });
  status = 401;
  const refused = await it.ask({}, '{}');
  assert.equal(refused.headers['x-should-retry'], 'false');
  assert.doesNotMatch((await errorOf(refused)).message, /sk-ant/);
  status = 302;
  assert.equal((await it.ask({}, '{}')).statusCode, 502);
});

test('an endpoint that cannot be reached is a 502 without addresses', async () => {
  await using it = await bench((request) => request.socket.destroy());
  const response = await it.ask({}, '{}');
  assert.equal(response.statusCode, 502);
  assert.doesNotMatch(await text(response), /127\.0\.0\.1|ECONN|socket/i);
});

test('a stream that is cut upstream is cut in the box, not ended as if it were whole', async () => {
  await using it = await bench((request, response) => {
    request.resume();
    response.write('event: ping\n\n', () => response.destroy());
  });
  const response = await it.ask({}, '{}');
  await assert.rejects(text(response));
});

test('when the guest goes, the upstream request is ended', async () => {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  await using it = await bench((request, response) => {
    request.resume();
    response.write('event: ping\n\n');
    response.once('close', resolve);
    begin();
  });
  const response = await it.ask({}, '{}');
  await begun;
  response.destroy();
  await ended;
});

test('bodies beyond the bound are refused, stated or not', async () => {
  await using it = await bench((request, response) => {
    request.resume();
    request.once('end', () => response.end('{}'));
  });
  const stated = await it.ask({ headers: { 'content-length': maxBodyBytes + 1 } });
  assert.equal(stated.statusCode, 413);
  const request = httpRequest({ socketPath: it.socketPath, method: 'POST', path: '/v1/messages', agent: false });
  request.on('error', () => undefined);
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  const piece = Buffer.alloc(1024 * 1024);
  Readable.from(Array.from({ length: maxBodyBytes / piece.length + 2 }, () => piece)).pipe(request);
  assert.equal((await answered)[0].statusCode, 413);
});

test('more requests at once than a box may have are refused, also when pipelined', async () => {
  const waiting: ServerResponse[] = [];
  await using it = await bench((request, response) => {
    request.resume();
    waiting.push(response);
  });
  const socket = connect(it.socketPath);
  await once(socket, 'connect');
  socket.write('GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200));
  const wait = Date.now() + 10_000;
  while (waiting.length < 32) {
    assert.ok(Date.now() < wait);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const refused = await it.ask({}, '{}');
  assert.equal(refused.statusCode, 429);
  assert.equal(waiting.length, 32);
  socket.destroy();
});

test('the socket is private from its first moment, replaces a stale one, and goes with the box', async () => {
  await using it = await bench((_request, response) => response.end('{}'));
  assert.equal((await stat(it.socketPath)).mode & 0o777, 0o600);
  await it.broker.open('box', it.socketPath);
  assert.equal((await it.ask({ method: 'GET', path: '/v1/models' })).statusCode, 200);
  await it.broker.close('box');
  await it.broker.close('box');
  await assert.rejects(stat(it.socketPath));
});

test('open connections of a box are counted, when it is asked and when they are cut', async () => {
  await using it = await bench((_request, response) => response.end('{}'));
  assert.deepEqual([await it.broker.connections('box'), await it.broker.connections('nobody')], [0, 0]);
  const socket = connect(it.socketPath);
  await once(socket, 'connect');
  socket.write('GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  assert.equal(await it.broker.connections('box'), 1);
  assert.equal(await it.broker.close('box'), 1);
  assert.equal(await it.broker.connections('box'), 0);
  socket.destroy();
});
