import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { ApiError, type ErrorCode, errorTable, limits, terminalClose } from '@citb/api';
import { refused, testClient } from '@citb/testkit/services/index.ts';
import { WebSocket } from 'ws';

async function withBox(t: TestContext, options = {}) {
  const client = await testClient(t, options);
  await client.call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  const open = (query = '', protocols: string[] = [], headers: Record<string, string> = { 'X-API-Key': client.apiKey }, box = 'b1') => {
    const socket = new WebSocket(`${client.url.replace('http', 'ws')}/v1/boxes/${box}/terminal${query}`, protocols, { headers });
    // `terminate` makes an unanswered handshake an error.
    socket.on('error', () => undefined);
    t.after(() => socket.terminate());
    return socket;
  };
  return { ...client, open };
}

/** Collects what comes, until the connection closes. */
function record(socket: WebSocket) {
  const seen = { output: '', control: [] as Record<string, unknown>[] };
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) seen.output += data.toString('utf8');
    else seen.control.push(JSON.parse(data.toString('utf8')) as Record<string, unknown>);
  });
  return seen;
}

async function refusedUpgrade(socket: WebSocket, code: ErrorCode): Promise<void> {
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, AsyncIterable<Buffer> & { statusCode: number }];
  assert.equal(response.statusCode, errorTable[code].status);
  const body = JSON.parse(Buffer.concat(await Array.fromAsync(response)).toString('utf8')) as { error: { code: string } };
  assert.equal(body.error.code, code);
}

test('a terminal carries bytes both ways, takes a size, and says how its program ended', async (t) => {
  const { open, services } = await withBox(t);
  const socket = open('?cols=100&rows=30');
  const seen = record(socket);
  await once(socket, 'open');
  assert.deepEqual(services.processes.lastSize, { cols: 100, rows: 30 });
  socket.send(JSON.stringify({ type: 'resize', cols: 120, rows: 40 }));
  socket.send(Buffer.from('echo got-$((40+2)); exit 5\n'));
  const [code] = (await once(socket, 'close')) as [number];
  assert.equal(code, 1000);
  assert.equal(seen.output, 'got-42\n');
  assert.equal(seen.control[0]?.['type'], 'start');
  assert.deepEqual(seen.control.at(-1), { type: 'exit', exit_code: 5 });
  assert.deepEqual(services.processes.lastSize, { cols: 120, rows: 40 });
});

test('a browser brings its key as a subprotocol', async (t) => {
  const { open, apiKey } = await withBox(t);
  const socket = open('', ['citb', `key.${Buffer.from(apiKey).toString('base64url')}`], {});
  await once(socket, 'open');
  assert.equal(socket.protocol, 'citb');
});

test('a terminal outlives its connection and is joined by its pid', async (t) => {
  const { open } = await withBox(t);
  const first = open();
  const seen = record(first);
  await once(first, 'message');
  const pid = seen.control[0]?.['pid'] as number;
  first.close();
  await once(first, 'close');
  const second = open(`?pid=${pid}`);
  const again = record(second);
  await once(second, 'open');
  second.send(Buffer.from('echo still here; exit\n'));
  await once(second, 'close');
  assert.equal(again.control[0]?.['pid'], pid);
  assert.match(again.output, /still here/);
});

test('what cannot be a terminal is an HTTP error before the upgrade', async (t) => {
  const { open, call, apiKey } = await withBox(t);
  await refusedUpgrade(open('', [], {}), 'unauthorized');
  await refusedUpgrade(open('', ['citb', 'key.d3Jvbmc'], {}), 'unauthorized');
  await refusedUpgrade(open('?cols=0'), 'invalid_request');
  await refusedUpgrade(open('?cols=1&cols=2'), 'invalid_request');
  await refusedUpgrade(open('?pid=999999'), 'process_not_found');
  await refusedUpgrade(open('', [], { 'X-API-Key': apiKey }, 'none'), 'box_not_found');
  await refusedUpgrade(open('', [], { 'X-API-Key': apiKey }, 'a/b'), 'not_found');
  const plain = await call('GET', '/v1/boxes/b1/terminal');
  assert.equal(plain.headers.get('upgrade'), 'websocket');
  await refused(plain, 'upgrade_required');
});

test('frames that are wrong or too large close the connection', async (t) => {
  const { open } = await withBox(t);
  for (const text of ['no json', '{"type":"resize"}', '{"type":"start","pid":1}']) {
    const socket = open();
    await once(socket, 'open');
    socket.send(text);
    assert.equal(((await once(socket, 'close')) as [number])[0], 1007);
  }
  const socket = open();
  await once(socket, 'open');
  socket.send(Buffer.alloc(limits.frameBytes + 1));
  assert.equal(((await once(socket, 'close')) as [number])[0], 1009);
});

test('nothing piles up for a client that does not read', async (t) => {
  const { open, services } = await withBox(t, { stallMs: 300 });
  let taken = 0;
  const givenUp = Promise.withResolvers<void>();
  const chunk = Buffer.alloc(64 * 1024);
  const real = services.processes.terminal.bind(services.processes);
  services.processes.terminal = async (...args) => ({
    ...(await real(...args)),
    output: (async function* () {
      try {
        for (;;) {
          taken += chunk.length;
          yield chunk;
        }
      } finally {
        givenUp.resolve();
      }
    })(),
  });
  const socket = open();
  await once(socket, 'open');
  socket.pause();
  await givenUp.promise;
  assert.ok(taken < 64 * 1024 * 1024, `${taken} bytes were taken`);
  socket.resume();
  assert.equal(((await once(socket, 'close')) as [number])[0], 1013);
});

test('a terminal whose box is put to sleep is closed with a code and a reason of its own', async (t) => {
  const { open, services } = await withBox(t);
  const real = services.processes.terminal.bind(services.processes);
  for (const [asleep, reason] of [
    ['paused', /programs go on when it wakes/],
    ['stopped', /programs have ended/],
  ] as const) {
    services.processes.terminal = async (...args) => ({
      ...(await real(...args)),
      output: (async function* () {
        yield Buffer.from('$ ');
        throw new ApiError(`box_${asleep}`);
      })(),
    });
    const [code, said] = (await once(open(), 'close')) as [number, Buffer];
    assert.equal(code, terminalClose[asleep]);
    assert.match(said.toString(), reason);
  }
});

test('a stopping server closes terminals', async (t) => {
  const { open, server } = await withBox(t);
  const socket = open();
  await once(socket, 'open');
  const stopped = server.stop(5000);
  assert.equal(((await once(socket, 'close')) as [number])[0], 1001);
  await stopped;
});
