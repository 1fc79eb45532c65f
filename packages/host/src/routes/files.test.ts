import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { FileEntry, FileListing } from '@citb/api';
import { refused, testClient } from '@citb/testkit/services/index.ts';

async function withBox(t: TestContext) {
  const client = await testClient(t);
  await client.call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  const put = (name: string, body: NonNullable<RequestInit['body']>, init: object = {}) =>
    client.call('PUT', content(name), { body, duplex: 'half', ...init });
  return { ...client, put };
}

function content(name: string, more = ''): string {
  return at('/content', `?path=${encodeURIComponent(name)}${more}`);
}

function at(route: string, query = ''): string {
  return `/v1/boxes/b1/files${route}${query}`;
}

test('a file is written, listed, read, moved and removed', async (t) => {
  const { call, put } = await withBox(t);
  const written = await put('a/b ü.txt', 'hello', { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
  assert.equal(written.status, 200);
  assert.equal(((await written.json()) as FileEntry).size, 5);
  const listing = (await (await call('GET', at(''))).json()) as FileListing;
  assert.deepEqual(
    listing.entries.map((entry) => [entry.path, entry.type]),
    [
      ['a', 'directory'],
      ['a/b ü.txt', 'file'],
    ],
  );
  const flat = (await (await call('GET', at('', '?recursive=false&path=/&limit=1'))).json()) as FileListing;
  assert.equal(flat.entries.length, 1);
  assert.equal(await (await call('GET', content('a/b ü.txt'))).text(), 'hello');
  assert.equal((await call('HEAD', content('a/b ü.txt'))).headers.get('content-length'), '5');
  const moved = await call('POST', at('/move'), { json: { from: 'a/b ü.txt', to: 'c/d.txt' } });
  assert.equal(((await moved.json()) as FileEntry).path, 'c/d.txt');
  assert.equal((await call('DELETE', content('c/d.txt'))).status, 204);
  await refused(await call('GET', content('c/d.txt')), 'file_not_found');
  await refused(await call('DELETE', content('missing')), 'file_not_found');
});

test('an upload of unknown length is streamed', async (t) => {
  const { call, put } = await withBox(t);
  const parts = new ReadableStream({
    start(controller) {
      for (let part = 0; part < 64; part++) controller.enqueue(new Uint8Array(64 * 1024).fill(part));
      controller.close();
    },
  });
  assert.equal((await put('big', parts)).status, 200);
  const back = Buffer.from(await (await call('GET', content('big'))).arrayBuffer());
  assert.equal(back.length, 4 * 1024 * 1024);
  assert.equal(back.at(-1), 63);
});

test('an upload that is broken off leaves nothing', async (t) => {
  const { call, put } = await withBox(t);
  const leave = new AbortController();
  const endless = new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      // fetch goes on pulling after its signal was aborted.
      if (leave.signal.aborted) controller.close();
      else controller.enqueue(new Uint8Array(1024));
    },
  });
  const upload = put('half', endless, { signal: leave.signal });
  setTimeout(() => leave.abort(), 100);
  await assert.rejects(upload);
  for (;;) {
    const listing = (await (await call('GET', at(''))).json()) as FileListing;
    if (listing.entries.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('a folder is made, filled and emptied', async (t) => {
  const { call, put } = await withBox(t);
  assert.equal((await call('POST', at('/folder', '?path=x/y'))).status, 201);
  assert.equal((await call('POST', at('/folder', '?path=x/y'))).status, 201);
  await put('x/y/file', '1');
  await refused(await call('DELETE', content('x')), 'folder_not_empty');
  await refused(await call('POST', at('/folder', '?path=x/y/file')), 'file_exists');
  await refused(await call('GET', content('x')), 'not_a_file');
  assert.equal((await call('DELETE', content('x', '&recursive=true'))).status, 204);
});

test('a folder goes out and in as tar, and out as zip', async (t) => {
  const { call, put } = await withBox(t);
  await put('src/a.txt', 'A');
  const tar = await call('GET', at('/archive', '?path=src'));
  assert.equal(tar.headers.get('content-type'), 'application/x-tar');
  assert.equal(tar.headers.get('content-disposition'), 'attachment; filename=src.tar');
  const bytes = Buffer.from(await tar.arrayBuffer());
  assert.match(spawnSync('tar', ['-t'], { input: bytes }).stdout.toString(), /a\.txt/);
  const unpacked = await call('PUT', at('/archive', '?path=copy'), { body: bytes, headers: { 'Content-Type': 'application/x-tar' } });
  assert.deepEqual(await unpacked.json(), { files: 1 });
  assert.equal(await (await call('GET', content('copy/a.txt'))).text(), 'A');
  const zip = await call('GET', at('/archive', '?format=zip'));
  assert.equal(zip.headers.get('content-disposition'), 'attachment; filename=workspace.zip');
  assert.equal(
    Buffer.from(await zip.arrayBuffer())
      .subarray(0, 2)
      .toString(),
    'PK',
  );

  await refused(await call('GET', at('/archive', '?format=rar')), 'invalid_request');
  await refused(
    await call('PUT', at('/archive'), { body: bytes, headers: { 'Content-Type': 'application/zip' } }),
    'unsupported_media_type',
  );
  await refused(await call('PUT', at('/archive'), { body: 'no tar at all' }), 'invalid_request');
});

test('changes are watched until the client leaves', async (t) => {
  const { call, put, lines } = await withBox(t);
  const changes = lines(await call('GET', at('/watch')));
  assert.equal((await changes.next()).value?.['type'], 'heartbeat');
  await put('seen.txt', 'x');
  for (let change = await changes.next(); change.value?.['path'] !== 'seen.txt'; change = await changes.next())
    assert.equal(change.done, false);
  await changes.return(undefined);
  await refused(await call('GET', at('/watch', '?path=missing')), 'file_not_found');
});

test('paths that lead out of the workspace are refused everywhere', async (t) => {
  const { call, put, services } = await withBox(t);
  for (const name of ['../x', '/etc/passwd', 'a\0b', 'a//b', 'x'.repeat(256), '']) {
    await refused(await call('GET', content(name)), 'invalid_path');
    await refused(await put(name, 'x'), 'invalid_path');
    await refused(await call('DELETE', content(name)), 'invalid_path');
    await refused(await call('POST', at('/move'), { json: { from: 'a', to: name } }), 'invalid_path');
    if (name !== '') await refused(await call('GET', at('', `?path=${encodeURIComponent(name)}`)), 'invalid_path');
  }
  await symlink('/etc', path.join(services.boxes.workspace('b1'), 'planted'));
  await refused(await call('GET', content('planted/passwd')), 'path_outside');
});

test('bodies that are surely a mistake are refused', async (t) => {
  const { call, put } = await withBox(t);
  const form = new FormData();
  form.set('file', new Blob(['x']));
  await refused(await put('x', form), 'unsupported_media_type');
  await refused(await put('x', 'x', { headers: { 'Content-Encoding': 'gzip' } }), 'unsupported_media_type');
  await refused(await call('PUT', content('x', '&mode=999'), { body: 'x' }), 'invalid_request');
  await refused(await call('POST', at('/move'), { body: 'from=a', headers: { 'Content-Type': 'text/plain' } }), 'unsupported_media_type');
});
