import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Duplex, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { ApiError, limits, uploadProtocol, type FileChange, type FileEntry } from '@citb/api';
import { BoxDoubles } from '../guest/box.double.ts';
import { createGuestClients } from '../guest/clients.ts';
import { createFiles } from './files.ts';

const token = 't'.repeat(32);
const entry: FileEntry = { path: 'a b', type: 'file', size: 1, modified: '2026-01-01T00:00:00.000Z', mode: '644' };
const never = new AbortController().signal;

/** Files of a box whose envd does what the test says. */
async function bench(envd: (request: IncomingMessage, response: ServerResponse) => unknown) {
  const stack = new AsyncDisposableStack();
  const server = createServer((request, response) => void envd(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const boxes = new BoxDoubles();
  const clients = createGuestClients();
  stack.defer(() => clients.close());
  boxes.start('box', { envd: (server.address() as AddressInfo).port }, token);
  return { server, files: createFiles({ access: boxes, clients }), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === expected;
}

const fileHeaders = { 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' };

test('each call is the right request, with the token of the box', async () => {
  const seen: string[] = [];
  await using it = await bench(async (request, response) => {
    assert.equal(request.headers['x-access-token'], token);
    seen.push(`${request.method} ${request.url} ${(await buffer(request)).toString()}`);
    if (request.method === 'DELETE') response.writeHead(204).end();
    else if (request.url?.includes('/list')) json(response, 200, { entries: [entry], truncated: false });
    else if (request.url?.includes('/archive')) json(response, 200, { files: 3 });
    else json(response, 200, entry);
  });
  assert.deepEqual(await it.files.list('box', { path: 'a b', recursive: false, limit: 5 }), { entries: [entry], truncated: false });
  assert.deepEqual(await it.files.stat('box', 'ü&x=1'), entry);
  await it.files.write('box', 'f', Readable.from(['one', 'two']), { size: undefined, mode: '600', signal: never });
  await it.files.write('box', 'f', Readable.from([Buffer.from('sized')]), { size: 5, signal: never });
  await it.files.makeFolder('box', 'd');
  await it.files.move('box', 'a', 'b', true);
  await it.files.remove('box', 'd', true);
  assert.deepEqual(await it.files.unpack('box', '', Readable.from([Buffer.from('tar')]), never), { files: 3 });
  assert.deepEqual(seen, [
    'GET /workspace/list?path=a+b&recursive=false&limit=5 ',
    'GET /workspace/stat?path=%C3%BC%26x%3D1 ',
    'PUT /workspace/file?path=f&mode=600 onetwo',
    'PUT /workspace/file?path=f sized',
    'POST /workspace/folder?path=d ',
    'POST /workspace/move {"from":"a","to":"b","overwrite":true}',
    'DELETE /workspace/entry?path=d&recursive=true ',
    'PUT /workspace/archive?path= tar',
  ]);
});

test("the guest's errors come through by code, in one line", async () => {
  const answer = { error: { code: 'file_not_found', message: `no\nsuch\u001b[31m ${'x'.repeat(9000)}`, hint: 'run this' } };
  await using it = await bench((_request, response) => json(response, 404, answer));
  await assert.rejects(it.files.stat('box', 'a'), (error) => {
    assert.ok(error instanceof ApiError && error.code === 'file_not_found');
    assert.ok(error.message.length <= 500 && !/\p{Cc}/u.test(error.message));
    assert.notEqual(error.hint, 'run this');
    return true;
  });
});

test('what a guest may not say is a box that does not answer', async () => {
  await unreachableWith([
    (response) => json(response, 404, { error: { code: 'unauthorized', message: 'your key is wrong' } }),
    (response) => json(response, 404, { error: { code: 'toString', message: '' } }),
    (response) => json(response, 404, null),
    (response) => json(response, 404, 'text'),
  ]);
});

test('a HEAD that fails is known by its status', async () => {
  await using it = await bench((_request, response) => response.writeHead(404).end());
  await assert.rejects(it.files.read('box', 'a', { head: true, signal: never }), code('file_not_found'));
});

test('answers that are nonsense, endless or missing are a box that does not answer', async () => {
  await unreachableWith([
    (response) => response.end('{'),
    (response) => json(response, 200, { ...entry, size: -1 }),
    (response) => response.socket?.destroy(),
    (response) => response.socket?.end('SSH-2.0-OpenSSH\r\n'),
    (response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
    (response) => response.writeHead(200, { 'x-large': 'x'.repeat(30_000) }).end('{}'),
    (response) => Readable.from(endless()).pipe(response),
  ]);
});

/** Each in a box of its own, all at once: the host looks for 2 s whether the machine has gone. */
async function unreachableWith(answers: readonly ((response: ServerResponse) => unknown)[]): Promise<void> {
  await Promise.all(
    answers.map(async (answer) => {
      await using it = await bench((_request, response) => answer(response));
      await assert.rejects(it.files.stat('box', 'a'), code('box_unreachable'));
    }),
  );
}

function* endless(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(64 * 1024, ' ');
}

test('a download is streamed with its range, and has just the bytes that were stated', async () => {
  const content = Buffer.from('0123456789');
  await using it = await bench((request, response) => {
    if (request.headers.range === 'bytes=2-4')
      response.writeHead(206, { ...fileHeaders, 'content-length': 3, 'content-range': 'bytes 2-4/10' }).end(content.subarray(2, 5));
    else response.writeHead(200, { ...fileHeaders, 'content-length': 10 }).end(request.method === 'HEAD' ? undefined : content);
  });
  const whole = await it.files.read('box', 'f', { head: false, signal: never });
  assert.deepEqual([whole.status, whole.size, whole.contentRange, whole.modified], [200, 10, undefined, '2026-01-01T00:00:00.000Z']);
  assert.deepEqual(await buffer(whole.body), content);
  const part = await it.files.read('box', 'f', { range: 'bytes=2-4', head: false, signal: never });
  assert.deepEqual([part.status, part.size, part.contentRange], [206, 3, 'bytes 2-4/10']);
  assert.equal((await buffer(part.body)).toString(), '234');
  const head = await it.files.read('box', 'f', { head: true, signal: never });
  assert.equal(head.size, 10);
  assert.equal((await buffer(head.body)).length, 0);
});

test('a guest that sends less than it stated, or states nothing, does not pass for a whole file', async () => {
  let mode = 'short';
  await using it = await bench((_request, response) => {
    if (mode === 'short') {
      response.writeHead(200, { ...fileHeaders, 'content-length': 10 });
      response.write('01234', () => response.socket?.end());
    } else if (mode === 'chunked') response.writeHead(200, fileHeaders).end('x');
    else response.writeHead(200, { 'content-length': '1', 'last-modified': 'never' }).end('x');
  });
  const short = await it.files.read('box', 'f', { head: false, signal: never });
  await assert.rejects(buffer(short.body));
  for (mode of ['chunked', 'undated'])
    await assert.rejects(it.files.read('box', 'f', { head: false, signal: never }), code('box_unreachable'));
});

test("a full disk in the middle of an upload is the answer, and the caller's body is left alive", async () => {
  await using it = await bench((request, response) => {
    request.once('data', () => json(response, 507, { error: { code: 'disk_full', message: 'full' } }));
  });
  const body = Readable.from(endless());
  await assert.rejects(it.files.write('box', 'f', body, { size: undefined, signal: never }), code('disk_full'));
  assert.equal(body.destroyed, false);
  body.destroy();
});

test('an upload that is too large or ends early fails as the caller’s mistake', async () => {
  await using it = await bench((request) => void request.resume());
  const large = { size: limits.uploadBytes + 1, signal: never };
  await assert.rejects(it.files.write('box', 'f', Readable.from([]), large), code('body_too_large'));
  const cut = new Readable({ read: () => undefined });
  const writing = it.files.write('box', 'f', cut, { size: undefined, signal: never });
  cut.push('half');
  setImmediate(() => cut.destroy());
  await assert.rejects(writing, code('bad_request'));
});

/** Files of a box whose envd does with a large file's connection what the test says. */
async function largeBench(upload: (request: IncomingMessage, connection: Duplex) => unknown) {
  const stack = new AsyncDisposableStack();
  const it = stack.use(await bench((_request, response) => json(response, 500, {})));
  it.server.on('upgrade', (request, connection) => {
    stack.defer(() => void connection.destroy());
    connection.on('error', () => undefined);
    connection.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${uploadProtocol}\r\n\r\n`);
    void upload(request, connection);
  });
  return { files: it.files, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const large = 5 * 1024 * 1024;

test('a large file of known size has a connection of its own', async () => {
  let seen = '';
  await using it = await largeBench(async (request, connection) => {
    let bytes = 0;
    for await (const chunk of connection as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes >= large) break;
    }
    seen = `${request.method} ${request.url} ${String(request.headers['x-access-token'])} ${bytes}`;
  });
  await using answering = await largeBench((request, connection) => {
    let bytes = 0;
    connection.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes < large) return;
      seen = `${request.method} ${request.url} ${String(request.headers['x-access-token'])} ${bytes}`;
      connection.end(JSON.stringify({ status: 200, body: entry }));
    });
  });
  const body = (): Readable => Readable.from([Buffer.alloc(large - 1), Buffer.alloc(1)]);
  assert.deepEqual(await answering.files.write('box', 'a b', body(), { size: large, mode: '600', signal: never }), entry);
  assert.equal(seen, `PUT /workspace/upload?path=a+b&mode=600&bytes=${large} ${token} ${large}`);
  // A guest that hangs up without a word has not stored it.
  await assert.rejects(it.files.write('box', 'f', body(), { size: large, signal: never }), code('box_unreachable'));
});

test('a large file goes to an older envd the way that it knows', async () => {
  const seen: string[] = [];
  await using it = await bench(async (request, response) => {
    seen.push(`${request.method} ${request.url} ${(await buffer(request)).length}`);
    if (request.url?.startsWith('/workspace/file') === true) json(response, 200, entry);
    else json(response, 404, { error: { code: 'not_found', message: 'There is nothing here.' } });
  });
  const options = { size: large, signal: never };
  assert.deepEqual(await it.files.write('box', 'f', Readable.from([Buffer.alloc(large)]), options), entry);
  assert.deepEqual(seen, [`PUT /workspace/upload?path=f&bytes=${large} 0`, `PUT /workspace/file?path=f ${large}`]);
});

test("a large file's failure is said as it is, whoever fails", async () => {
  await using full = await largeBench((_request, connection) => {
    connection.once('data', () => {
      connection.end(JSON.stringify({ status: 507, body: { error: { code: 'disk_full', message: 'full' } } }));
    });
  });
  const body = Readable.from(endless());
  await assert.rejects(full.files.write('box', 'f', body, { size: large, signal: never }), code('disk_full'));
  assert.equal(body.destroyed, false);
  body.destroy();

  await using mute = await largeBench((_request, connection) => void connection.resume());
  const cut = new Readable({ read: () => undefined });
  const writing = mute.files.write('box', 'f', cut, { size: large, signal: never });
  cut.push('half');
  setImmediate(() => cut.destroy());
  await assert.rejects(writing, code('bad_request'));

  const left = new AbortController();
  const reason = new Error('the caller left');
  const waiting = mute.files.write('box', 'f', new Readable({ read: () => undefined }), { size: large, signal: left.signal });
  setTimeout(() => left.abort(reason), 50);
  await assert.rejects(waiting, (error: Error) => error === reason || error.cause === reason);

  await using flood = await largeBench((_request, connection) => {
    connection.resume();
    Readable.from(endless()).pipe(connection);
  });
  const source = Readable.from(endless());
  await assert.rejects(flood.files.write('box', 'f', source, { size: large, signal: never }), code('box_unreachable'));
  source.destroy();
});

test('a watch gives changes and heartbeats, leaves nonsense out, and tells when the box ends it', async () => {
  await using it = await bench((_request, response) => {
    const lines = [
      { type: 'created', path: 'a' },
      { type: 'exploded', path: 'b' },
      { type: 'heartbeat', path: '' },
    ];
    for (const line of lines) response.write(`${JSON.stringify(line)}\n`);
    response.write(`${'x'.repeat(1_000_000)}\n`);
    response.end(`${JSON.stringify({ type: 'removed', path: 'a' })}\n`);
  });
  const seen: FileChange[] = [];
  await assert.rejects(async () => {
    for await (const change of it.files.watch('box', '', never)) seen.push(change);
  }, code('box_unreachable'));
  assert.deepEqual(
    seen.map(({ type }) => type),
    ['created', 'heartbeat', 'removed'],
  );
});
