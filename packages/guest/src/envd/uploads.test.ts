import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type UploadAnswer, fileEntry, uploadAnswer, uploadProtocol } from '@citb/api';
import { testbed, token } from './testbed.ts';

/** Asks to upload a file and resolves with the connection when the guest takes it. */
async function begin(t: TestContext, url: string, query: string): Promise<Duplex> {
  const headers = { 'X-Access-Token': token, Connection: 'Upgrade', Upgrade: uploadProtocol };
  const call = request(`${url}/workspace/upload?${query}`, { method: 'PUT', headers }).end();
  const [{ statusCode }, connection, head] = (await once(call, 'upgrade')) as [IncomingMessage, Duplex, Buffer];
  assert.equal(statusCode, 101);
  connection.unshift(head);
  t.after(() => connection.destroy());
  return connection;
}

async function answerOf(connection: Duplex): Promise<UploadAnswer> {
  return uploadAnswer.parse(JSON.parse(await text(connection)));
}

function errorIn({ status, body }: UploadAnswer): string {
  return `${status} ${(body as { error: { code: string } }).error.code}`;
}

async function isEmpty(folder: string): Promise<void> {
  for (let waited = 0; readdirSync(folder).length > 0; waited += 20) {
    assert.ok(waited < 20_000, readdirSync(folder).join());
    await sleep(20);
  }
}

test('a large file is moved past envd, byte by byte the same', async (t) => {
  const { url, workspace } = await testbed(t);
  const content = Buffer.alloc(5_000_001, 'claude-in-the-box ');
  const connection = await begin(t, url, `path=in/a%20b&mode=600&bytes=${content.length}`);
  connection.write(content);
  const { status, body } = await answerOf(connection);
  const { path, size, mode } = fileEntry.parse(body);
  assert.deepEqual({ status, path, size, mode }, { status: 200, path: 'in/a b', size: content.length, mode: '600' });
  assert.ok(readFileSync(join(workspace, 'in/a b')).equals(content));
  assert.deepEqual(readdirSync(join(workspace, 'in')), ['a b']);
});

test('what is wrong with a large file is said, and what was sent of it is gone', async (t) => {
  const { url, workspace } = await testbed(t);
  for (const [query, expected] of [
    ['path=..%2Fx&bytes=1', '400 invalid_path'],
    ['path=x', '422 invalid_request'],
    ['path=x&bytes=0', '422 invalid_request'],
    ['path=x&bytes=1e99', '422 invalid_request'],
    ['path=x&bytes=1&mode=999', '422 invalid_request'],
  ] as const) {
    const connection = await begin(t, url, query);
    connection.on('error', () => undefined).write(Buffer.alloc(100_000));
    assert.equal(errorIn(await answerOf(connection)), expected, query);
  }
  mkdirSync(join(workspace, 'folder'));
  assert.equal(errorIn(await answerOf(await begin(t, url, 'path=folder&bytes=5'))), '409 not_a_file');
  assert.deepEqual(readdirSync(workspace), ['folder']);
});

test('a connection that ends early leaves no file, and envd goes on', async (t) => {
  const { url, workspace, request: ask } = await testbed(t);
  const connection = await begin(t, url, 'path=cut&bytes=1000000');
  connection.write(Buffer.alloc(300_000));
  for (let waited = 0; readdirSync(workspace).length === 0; waited += 20) {
    assert.ok(waited < 20_000);
    await sleep(20);
  }
  connection.destroy();
  await isEmpty(workspace);

  // One that only stops sending still hears it.
  const half = await begin(t, url, 'path=half&bytes=1000000');
  half.end(Buffer.alloc(10));
  assert.equal(errorIn(await answerOf(half)), '422 invalid_request');
  await isEmpty(workspace);
  assert.equal((await ask('/workspace/list')).status, 200);
});

test('an upload without the token, and an upgrade to anything else, change nothing', async (t) => {
  const { url, workspace } = await testbed(t);
  const port = Number(new URL(url).port);
  const say = async (head: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    socket.write(`${head}\r\nHost: x\r\nConnection: Upgrade\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return answer.toString().split('\r\n', 1)[0] ?? '';
  };
  assert.equal(await say(`PUT /workspace/upload?path=x&bytes=1 HTTP/1.1\r\nUpgrade: ${uploadProtocol}`), 'HTTP/1.1 401 Unauthorized');
  assert.equal(await say(`GET /workspace/list HTTP/1.1\r\nX-Access-Token: ${token}\r\nUpgrade: websocket`), 'HTTP/1.1 200 OK');
  assert.deepEqual(readdirSync(workspace), []);
});
