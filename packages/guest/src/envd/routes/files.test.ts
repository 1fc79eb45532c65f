import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'node:test';
import { isRoot, testbed, token } from '../testbed.ts';

const octets = { 'Content-Type': 'application/octet-stream' };

test('a file is uploaded as bytes and downloaded, relative to the home of the user', async (t) => {
  const { request, home } = await testbed(t);
  const written = await request('/files?path=a/b.txt', { method: 'POST', headers: octets, body: 'text' });
  assert.deepEqual(await written.json(), [{ path: join(home, 'a/b.txt'), name: 'b.txt', type: 'file' }]);
  if (isRoot) assert.equal(lstatSync(join(home, 'a/b.txt')).uid, 1000);
  const read = await request(`/files?path=${home}/a/b.txt&username=user`);
  assert.deepEqual([read.status, await read.text(), read.headers.get('content-length')], [200, 'text', '4']);
  assert.equal(await (await request('/files?path=~/a/b.txt', { headers: { Range: 'bytes=1-2' } })).text(), 'ex');
  await request('/files?path=z', { method: 'POST', headers: { ...octets, 'Content-Encoding': 'gzip' }, body: gzipSync('zipped') });
  assert.equal(readFileSync(join(home, 'z'), 'utf8'), 'zipped');
});

test('files are uploaded as a form', async (t) => {
  const { request, home, workspace } = await testbed(t);
  const form = new FormData();
  form.append('file', new Blob(['one']), 'one.txt');
  form.append('file', new Blob(['x'.repeat(3_000_000)]), `${workspace}/deep/two.txt`);
  const both = await request('/files', { method: 'POST', body: form });
  assert.equal(both.status, 200, await both.clone().text());
  assert.deepEqual(
    ((await both.json()) as { path: string }[]).map(({ path }) => path),
    [join(home, 'one.txt'), join(workspace, 'deep/two.txt')],
  );
  assert.equal(lstatSync(join(workspace, 'deep/two.txt')).size, 3_000_000);
  assert.equal((await request('/files?path=p', { method: 'POST', body: form })).status, 400, 'several files for one path');
  const single = new FormData();
  single.append('file', new Blob(['one']), 'ignored');
  assert.equal((await request('/files?path=p', { method: 'POST', body: single })).status, 200);
  assert.equal(readFileSync(join(home, 'p'), 'utf8'), 'one');
});

test('errors come in the form of E2B', async (t) => {
  const { request, home } = await testbed(t);
  mkdirSync(join(home, 'folder'));
  writeFileSync(join(home, 'file'), '');
  const post = { method: 'POST', headers: octets, body: 'x' };
  const broken = { method: 'POST', headers: { 'Content-Type': 'multipart/form-data; boundary=x' }, body: '--x\r\nno end' };
  for (const [path, init, status] of [
    ['/files?path=none', {}, 404],
    ['/files?path=folder', {}, 400],
    ['/files?path=folder', post, 400],
    ['/files?path=file/below', post, 400],
    ['/files', post, 400],
    ['/files?path=x&username=nobody-here', {}, 401],
    [`/files?path=${'n'.repeat(300)}`, post, 400],
    ['/files?path=x', { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: 'x' }, 400],
    ['/files?path=x', broken, 400],
    ['/files', { method: 'POST', headers: { 'Content-Type': 'multipart/form-data' }, body: 'x' }, 400],
  ] as const) {
    const answer = await request(path, init);
    const body = (await answer.json()) as { code: number; message: string };
    assert.deepEqual([answer.status, body.code], [status, status], `${path} ${JSON.stringify(init)} ${body.message}`);
    assert.ok(body.message.length > 0);
  }
});

test('a signed URL opens its file without the token, and nothing else', async (t) => {
  const { url, home } = await testbed(t);
  writeFileSync(join(home, 'f'), 'signed');
  const get = (query: Record<string, string>): Promise<Response> => fetch(`${url}/files?${new URLSearchParams(query).toString()}`);
  assert.equal(await (await get({ path: 'f', signature: sign('f', 'read', '', token) })).text(), 'signed');
  const soon = String(Math.floor(Date.now() / 1000) + 60);
  const named = { path: 'f', username: 'user', signature_expiration: soon, signature: sign('f', 'read', 'user', token, soon) };
  assert.equal((await get(named)).status, 200);
  const past = String(Math.floor(Date.now() / 1000) - 60);
  assert.equal((await get({ path: 'f', signature_expiration: past, signature: sign('f', 'read', '', token, past) })).status, 401);
  assert.equal((await get({ path: 'g', signature: sign('f', 'read', '', token) })).status, 401);
  assert.equal((await get({ path: 'f', signature: sign('f', 'write', '', token) })).status, 401);
  assert.equal((await get({ path: 'f' })).status, 401);
});

test('files are composed into one', async (t) => {
  const { request, home } = await testbed(t);
  for (const name of ['1', '2', '3']) writeFileSync(join(home, name), name);
  const compose = (body: object): Promise<Response> => request('/files/compose', { method: 'POST', body: JSON.stringify(body) });
  assert.equal((await compose({ source_paths: ['1', 'none'], destination: 'whole' })).status, 404);
  const answer = await compose({ source_paths: ['1', '2', '3'], destination: 'whole' });
  assert.deepEqual(await answer.json(), { path: join(home, 'whole'), name: 'whole', type: 'file' });
  assert.equal(readFileSync(join(home, 'whole'), 'utf8'), '123');
  assert.equal((await request('/files?path=1')).status, 404);
});

function sign(...parts: readonly string[]): string {
  return `v1_${createHash('sha256').update(parts.join(':')).digest('base64').replace(/=+$/, '')}`;
}
