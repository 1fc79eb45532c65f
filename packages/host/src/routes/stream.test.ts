import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { ApiError, type ExecEvent } from '@citb/api';
import { testClient, type TestClient } from '@citb/testkit/services/index.ts';

/** Asks for an endless exec over a connection whose answer is not read. */
async function unreadStream(client: TestClient) {
  const state = { taken: 0, ended: false };
  client.services.processes.exec = async function* (): AsyncIterable<ExecEvent> {
    try {
      for (;;) {
        state.taken++;
        yield { type: 'stdout', data: 'x'.repeat(64 * 1024), encoding: 'utf8' };
      }
    } finally {
      state.ended = true;
    }
  };
  const body = JSON.stringify({ command: 'yes' });
  const socket = connect(Number(new URL(client.url).port), '127.0.0.1');
  socket.write(
    `POST /v1/boxes/b1/exec HTTP/1.1\r\nHost: x\r\nX-API-Key: ${client.apiKey}\r\nContent-Type: application/json\r\n` +
      `Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  socket.pause();
  return { socket, state };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('nothing is taken for a client that does not read, and its stream is ended', async (t) => {
  const client = await testClient(t, { stallMs: 300 });
  const { socket, state } = await unreadStream(client);
  await until(() => state.ended);
  // What the kernel's buffers hold, at most: nothing piles up in the host.
  assert.ok(state.taken * 64 * 1024 < 64 * 1024 * 1024, `${state.taken} chunks were taken`);
  socket.resume();
  await once(socket, 'close');
});

test('a client that reads again in time gets all of its stream', async (t) => {
  const client = await testClient(t, { stallMs: 10_000 });
  const { socket, state } = await unreadStream(client);
  let before = -1;
  while (state.taken !== before) {
    before = state.taken;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  socket.resume();
  await until(() => state.taken > before + 10);
  assert.equal(state.ended, false);
  socket.destroy();
  await until(() => state.ended);
});

test('a source that fails ends the stream in words', async (t) => {
  const { call, lines, services } = await testClient(t);
  services.processes.exec = async function* (): AsyncIterable<ExecEvent> {
    yield { type: 'start', pid: 7 };
    throw new ApiError('box_unreachable');
  };
  const ndjson = await call('POST', '/v1/boxes/b1/exec', { json: { command: 'x' } });
  const last = (await Array.fromAsync(lines(ndjson))).at(-1);
  assert.equal(last?.['type'], 'stream_error');
  assert.equal((last['content'] as { code: string }).code, 'box_unreachable');
  const sse = await call('POST', '/v1/boxes/b1/exec', { json: { command: 'x' }, headers: { Accept: 'text/event-stream' } });
  assert.match(await sse.text(), /data: \{"type":"stream_error".*\n\n$/);
});

test('a failure of the host itself says nothing of it to the caller', async (t) => {
  const { call, services } = await testClient(t);
  services.processes.exec = async function* (): AsyncIterable<ExecEvent> {
    yield { type: 'start', pid: 7 };
    throw new TypeError('secret detail');
  };
  const text = await (await call('POST', '/v1/boxes/b1/exec', { json: { command: 'x' } })).text();
  assert.match(text, /"code":"internal"/);
  assert.ok(!text.includes('secret detail'));
});

test('a quiet stream has heartbeats in the form of its kind', async (t) => {
  const { call, services } = await testClient(t, { heartbeatMs: 20 });
  services.processes.exec = async function* (): AsyncIterable<ExecEvent> {
    yield { type: 'start', pid: 7 };
    await new Promise((resolve) => setTimeout(resolve, 100));
  };
  assert.match(await (await call('POST', '/v1/boxes/b1/exec', { json: { command: 'x' } })).text(), /"pid":7\}\n\n+$/);
  const sse = await call('POST', '/v1/boxes/b1/exec', { json: { command: 'x' }, headers: { Accept: 'text/event-stream' } });
  assert.match(await sse.text(), /\n\n(: heartbeat\n\n)+$/);
});
