import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { fileChange, fileEntry, fileListing } from '@citb/api';
import { isRoot, testbed, token } from '../testbed.ts';

async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { error: { code: string; request_id: string }; detail: string };
  assert.match(body.error.request_id, /^req_/);
  assert.ok(body.detail.length > 0);
  return `${response.status} ${body.error.code}`;
}

test('a file is put, listed, read in parts, moved and removed', async (t) => {
  const { request, workspace } = await testbed(t);
  const put = await request('/workspace/file?path=src%2Fa%20b.txt&mode=600', { method: 'PUT', body: '0123456789' });
  const entry = fileEntry.parse(await put.json());
  assert.deepEqual({ ...entry, modified: '' }, { path: 'src/a b.txt', type: 'file', size: 10, modified: '', mode: '600' });
  const stats = lstatSync(join(workspace, 'src/a b.txt'));
  if (isRoot) assert.deepEqual([stats.uid, lstatSync(join(workspace, 'src')).uid], [1000, 1000]);

  const whole = await request('/workspace/file?path=src/a%20b.txt');
  assert.equal(await whole.text(), '0123456789');
  assert.equal(whole.headers.get('content-length'), '10');
  assert.equal(new Date(whole.headers.get('last-modified') ?? '').getTime(), Math.floor(stats.mtimeMs / 1000) * 1000);
  for (const [range, status, text, shown] of [
    ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
    ['bytes=8-', 206, '89', 'bytes 8-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=5-99', 206, '56789', 'bytes 5-9/10'],
    ['bytes=0-1,3-4', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
  ] as const) {
    const part = await request('/workspace/file?path=src/a%20b.txt', { headers: { Range: range } });
    assert.deepEqual([part.status, await part.text(), part.headers.get('content-range')], [status, text, shown], range);
  }
  const beyond = await request('/workspace/file?path=src/a%20b.txt', { headers: { Range: 'bytes=10-' } });
  assert.equal(beyond.headers.get('content-range'), 'bytes */10');
  assert.equal(await codeOf(beyond), '416 range_not_satisfiable');
  const head = await request('/workspace/file?path=src/a%20b.txt', { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '10', '']);

  const listing = fileListing.parse(await (await request('/workspace/list')).json());
  assert.deepEqual(
    listing.entries.map(({ path, type }) => [path, type]),
    [
      ['src', 'directory'],
      ['src/a b.txt', 'file'],
    ],
  );
  assert.equal(fileListing.parse(await (await request('/workspace/list?recursive=false&limit=1')).json()).entries.length, 1);

  const move = (body: object): Promise<Response> =>
    request('/workspace/move', { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } });
  assert.equal(fileEntry.parse(await (await move({ from: 'src/a b.txt', to: 'c' })).json()).path, 'c');
  assert.equal(await codeOf(await move({ from: 'c', to: 'src' })), '409 file_exists');
  assert.equal((await request('/workspace/folder?path=src', { method: 'POST' })).status, 201);
  assert.equal((await request('/workspace/folder?path=x/y', { method: 'POST' })).status, 201);
  assert.equal(await codeOf(await request('/workspace/entry?path=x', { method: 'DELETE' })), '409 file_exists');
  assert.equal((await request('/workspace/entry?path=x&recursive=true', { method: 'DELETE' })).status, 204);
  assert.deepEqual(readdirSync(workspace), ['c', 'src']);
});

test('what is wrong is said in the form of the contract', { timeout: 30_000 }, async (t) => {
  const { request, workspace } = await testbed(t);
  execFileSync('mkfifo', [join(workspace, 'fifo')]);
  symlinkSync('/etc/passwd', join(workspace, 'leak'));
  for (const [method, path, expected] of [
    ['GET', '/workspace/file?path=none', '404 file_not_found'],
    ['GET', '/workspace/file?path=..%2Fx', '400 invalid_path'],
    ['GET', '/workspace/file?path=%2Fetc%2Fpasswd', '400 invalid_path'],
    ['GET', '/workspace/file?path=a%00b', '400 invalid_path'],
    ['GET', '/workspace/file', '422 invalid_request'],
    ['GET', '/workspace/file?path=leak', '403 path_outside'],
    ['GET', '/workspace/file?path=fifo', '409 not_a_file'],
    ['GET', '/workspace/file?path=', '409 not_a_file'],
    ['PUT', '/workspace/file?path=fifo', '409 not_a_file'],
    ['PUT', '/workspace/file?path=x&mode=999', '422 invalid_request'],
    ['GET', '/workspace/list?limit=0', '422 invalid_request'],
    ['GET', '/workspace/list?path=fifo', '409 not_a_directory'],
    ['GET', '/workspace/archive?format=zip', '422 invalid_request'],
    ['DELETE', '/workspace/entry?path=', '400 invalid_path'],
    ['GET', '/workspace/nothing', '404 not_found'],
    ['POST', '/workspace/move', '422 invalid_request'],
  ] as const)
    assert.equal(await codeOf(await request(path, { method, ...(method === 'PUT' ? { body: 'x' } : {}) })), expected, `${method} ${path}`);
});

test('large files go both ways whole', { timeout: 120_000 }, async (t) => {
  const { request, workspace } = await testbed(t);
  const size = 64 * 1024 * 1024;
  const content = Buffer.alloc(size, 'claude-in-the-box ');
  let started = performance.now();
  const put = await request('/workspace/file?path=big', { method: 'PUT', body: content });
  assert.equal(fileEntry.parse(await put.json()).size, size);
  const upload = size / 1048.576 / (performance.now() - started);
  started = performance.now();
  const got = Buffer.from(await (await request('/workspace/file?path=big')).arrayBuffer());
  t.diagnostic(`upload ${Math.round(upload)} MiB/s, download ${Math.round(size / 1048.576 / (performance.now() - started))} MiB/s`);
  assert.ok(got.equals(content));
  truncateSync(join(workspace, 'big'), 3 * 1024 ** 3);
  const part = await request('/workspace/file?path=big', { headers: { Range: 'bytes=3221225000-' } });
  assert.equal((await part.arrayBuffer()).byteLength, 3 * 1024 ** 3 - 3_221_225_000);
});

test('a body in chunks that come several at once arrives whole', async (t) => {
  const { request } = await testbed(t);
  const content = Buffer.alloc(5 * 1024 * 1024, 'claude-in-the-box ');
  function* pieces(): Generator<Buffer> {
    for (let at = 0, size = 1; at < content.length; at += size, size = (size * 7) % 30_011) yield content.subarray(at, at + size);
  }
  await request('/workspace/file?path=pieces', { method: 'PUT', body: Readable.toWeb(Readable.from(pieces())), duplex: 'half' });
  const got = Buffer.from(await (await request('/workspace/file?path=pieces')).arrayBuffer());
  assert.ok(got.equals(content));
});

test('a file that becomes shorter while it is sent cuts the connection', async (t) => {
  const { request, workspace } = await testbed(t);
  writeFileSync(join(workspace, 'big'), '');
  truncateSync(join(workspace, 'big'), 256 * 1024 ** 2);
  const reader = (await request('/workspace/file?path=big')).body?.getReader();
  await reader?.read();
  truncateSync(join(workspace, 'big'), 1024);
  await assert.rejects(async () => {
    while ((await reader?.read())?.done === false);
  });
  assert.equal((await request('/workspace/list')).status, 200);
});

test('an upload that breaks off leaves nothing, and envd goes on', async (t) => {
  const { request, url, workspace } = await testbed(t);
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(`PUT /workspace/file?path=cut HTTP/1.1\r\nHost: x\r\nX-Access-Token: ${token}\r\nContent-Length: 1000000\r\n\r\n`);
  socket.write(Buffer.alloc(300_000));
  for (let waited = 0; readdirSync(workspace).length === 0; waited += 20) {
    assert.ok(waited < 20_000);
    await sleep(20);
  }
  socket.destroy();
  for (let waited = 0; readdirSync(workspace).length > 0; waited += 20) {
    assert.ok(waited < 20_000);
    await sleep(20);
  }
  assert.equal((await request('/workspace/list')).status, 200);
});

test('a client that does not read a large file costs no memory, and leaves without a trace', async (t) => {
  const { request, url, workspace } = await testbed(t);
  writeFileSync(join(workspace, 'big'), '');
  truncateSync(join(workspace, 'big'), 2 * 1024 ** 3);
  const sockets = Array.from({ length: 10 }, () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(`GET /workspace/file?path=big HTTP/1.1\r\nHost: x\r\nX-Access-Token: ${token}\r\n\r\n`);
    return socket;
  });
  await sleep(500);
  assert.ok(process.memoryUsage().rss < 700 * 1024 * 1024);
  for (const socket of sockets) socket.destroy();
  for (let waited = 0; isOpen('/big'); waited += 20) {
    assert.ok(waited < 20_000, 'the file stays open');
    await sleep(20);
  }
  assert.equal((await request('/workspace/list')).status, 200);
});

function isOpen(end: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).endsWith(end);
    } catch {
      return false;
    }
  });
}

test('a folder is taken as tar and given back', async (t) => {
  const { request, workspace } = await testbed(t);
  mkdirSync(join(workspace, 'a/b'), { recursive: true });
  writeFileSync(join(workspace, 'a/b/f'), 'text');
  symlinkSync('b/f', join(workspace, 'a/link'));
  const tar = Buffer.from(await (await request('/workspace/archive?path=a&format=tar')).arrayBuffer());
  assert.deepEqual(execFileSync('tar', ['-t'], { input: tar }).toString().split('\n'), ['b/', 'b/f', 'link', '']);
  const answer = await request('/workspace/archive?path=c', { method: 'PUT', body: tar });
  assert.deepEqual(await answer.json(), { files: 2 });
  assert.equal(readFileSync(join(workspace, 'c/link'), 'utf8'), 'text');
  assert.equal(await codeOf(await request('/workspace/archive?path=c', { method: 'PUT', body: 'x'.repeat(5000) })), '422 invalid_request');
});

test('a watch streams changes as lines', { timeout: 30_000 }, async (t) => {
  const { request, workspace } = await testbed(t);
  const stop = new AbortController();
  const { body } = await request('/workspace/watch?path=', { signal: stop.signal });
  assert.ok(body !== null);
  const lines: string[] = [];
  const decoder = new TextDecoder();
  const reader = body.getReader();
  const next = async (): Promise<void> => {
    lines.push(
      ...decoder
        .decode((await reader.read()).value)
        .trim()
        .split('\n'),
    );
  };
  await next();
  assert.deepEqual(lines.splice(0), ['{"type":"heartbeat","path":""}']);
  writeFileSync(join(workspace, 'f'), 'x');
  while (lines.length < 2) await next();
  assert.deepEqual(
    lines.map((line) => fileChange.parse(JSON.parse(line))),
    [
      { type: 'created', path: 'f' },
      { type: 'modified', path: 'f' },
    ],
  );
  stop.abort();
});
