import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { ApiError, type GuestInit } from '@citb/api';
import { z } from 'zod';
import { BoxDoubles } from './box.double.ts';
import { createGuestClients } from './clients.ts';

const token = 't'.repeat(32);
const init: GuestInit = { accessToken: token, envVars: { A: 'b' } };

async function bench(answer: (request: IncomingMessage, response: ServerResponse) => unknown) {
  const stack = new AsyncDisposableStack();
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let connections = 0;
  server.on('connection', () => (connections += 1));
  stack.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const boxes = new BoxDoubles();
  const clients = createGuestClients();
  stack.defer(() => clients.close());
  const box = boxes.start('box', { envd: port, agent: port }, token);
  return { box, boxes, clients, connections: () => connections, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function silent(): void {}

function unreachable(pattern: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === 'box_unreachable' && pattern.test(error.message);
}

test('a new machine is waited for, initialised once, and used over connections that stay open', async () => {
  let refused = 3;
  const seen: string[] = [];
  await using it = await bench(async (request, response) => {
    // As user networking does while nobody listens in the guest.
    if ((refused -= 1) > 0) return request.socket.destroy();
    seen.push(`${request.method} ${request.url} ${String(request.headers['x-access-token'])} ${await text(request)}`);
    if (request.url === '/init') return response.writeHead(204).end();
    return response.end('{"agent":"ready","parked":false,"version":"1"}');
  });
  const { vm } = it.box;
  await it.clients.waitForEnvd(vm, { deadlineMs: 20_000 });
  await it.clients.initialise(vm, token, init);
  await it.clients.waitForAgent(vm, token, { deadlineMs: 20_000 });
  assert.deepEqual(seen, ['GET /health  ', `POST /init ${token} ${JSON.stringify(init)}`, `GET /health ${token} `]);
  const before = it.connections();
  for (let index = 0; index < 20; index += 1) await it.clients.envd(it.box).done({ method: 'GET', path: '/health' });
  assert.ok(it.connections() <= before + 1);
});

test('waiting ends at its deadline or by its signal; a machine that belongs to somebody else is not taken', async () => {
  await using it = await bench((request, response) =>
    request.url === '/init' ? response.writeHead(401).end() : response.writeHead(503).end(),
  );
  await assert.rejects(it.clients.waitForEnvd(it.box.vm, { deadlineMs: 150 }), unreachable(/has not started/));
  await assert.rejects(it.clients.waitForAgent(it.box.vm, token, { deadlineMs: 150 }), unreachable(/agent/));
  await assert.rejects(it.clients.waitForEnvd(it.box.vm, { deadlineMs: 60_000, signal: AbortSignal.timeout(100) }), /abort/i);
  await assert.rejects(it.clients.initialise(it.box.vm, token, init), unreachable(/status 401/));
});

test('a guest that is silent, trickles, or sends one informational answer after another runs into the deadline', async () => {
  let behave: (response: ServerResponse) => unknown = silent;
  await using it = await bench((_request, response) => behave(response));
  const call = { method: 'GET', path: '/', timeoutMs: 200 } as const;
  const guest = it.clients.envd(it.box);
  await assert.rejects(guest.json(call, z.unknown()), unreachable(/did not answer/));
  behave = (response) => {
    const timer = setInterval(() => response.write(' '), 10);
    response.once('close', () => clearInterval(timer));
  };
  await assert.rejects(guest.json(call, z.unknown()), unreachable(/did not answer/));
  behave = (response) => {
    const timer = setInterval(() => response.writeProcessing(), 10);
    response.once('close', () => clearInterval(timer));
  };
  await assert.rejects(guest.json(call, z.unknown()), unreachable(/did not answer/));
});

test('when the machine is gone its connections are cut, and nothing waits for it', async () => {
  await using it = await bench(() => undefined);
  const waiting = it.clients.envd(it.box).done({ method: 'GET', path: '/', timeoutMs: null });
  setTimeout(() => it.boxes.lose('box'), 50);
  await assert.rejects(waiting, (error) => error instanceof ApiError && error.code === 'box_unreachable');
  await assert.rejects(
    it.clients.envd(it.box).done({ method: 'GET', path: '/' }),
    (error) => error instanceof ApiError && error.code === 'box_unreachable',
  );
});
