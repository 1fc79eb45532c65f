import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { completion, Daemon, patience } from './harness.ts';

suite('a hostile guest and a careless caller', { timeout: 4 * patience }, () => {
  let daemon: Daemon;
  let id = '';
  before(async () => {
    daemon = await Daemon.start({ CITB_DISK_MIB: '256' });
    await daemon.create('eve');
    id = (await daemon.json<{ boxes: { id: string }[] }>('GET', '/v1/boxes')).boxes[0]?.id ?? '';
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  async function run(command: string): Promise<string> {
    const response = await daemon.call('POST', `/v1/boxes/${id}/exec`, { command });
    return await response.text();
  }
  async function code(method: string, path: string, body?: unknown): Promise<[number, string]> {
    const response = await daemon.call(method, path, body);
    const answer = (await response.json()) as { error: { code: string; hint: string; request_id: string }; detail: string };
    assert.ok(answer.error.hint.length > 0 && answer.error.request_id.length > 0 && answer.detail.length > 0);
    return [response.status, answer.error.code];
  }

  test('a planted symbolic link does not lead out of the workspace', async () => {
    await run('ln -s /etc/shadow secret; ln -s /etc etc; ln -s ../../etc/passwd up; echo in > real; ln -s real inside');
    assert.deepEqual(await code('GET', '/download_file?user_id=eve&filename=secret'), [403, 'path_outside']);
    assert.deepEqual(await code('GET', '/download_file?user_id=eve&filename=etc/passwd'), [403, 'path_outside']);
    assert.deepEqual(await code('GET', '/download_file?user_id=eve&filename=up'), [403, 'path_outside']);
    assert.equal(await (await daemon.call('GET', '/download_file?user_id=eve&filename=inside')).text(), 'in\n');
    const written = await fetch(`${daemon.url}/v1/boxes/${id}/files/content?path=etc/planted`, {
      method: 'PUT',
      headers: { 'X-API-Key': daemon.key },
      body: 'x',
    });
    assert.equal(written.status, 403);
    assert.match(await run('test ! -e /etc/planted && echo untouched'), /untouched/);
  });

  test('pipes, devices and endless files do not hang a download', async () => {
    await run('mkfifo pipe; sudo mknod zero c 1 5; truncate -s 1T huge');
    assert.deepEqual(await code('GET', '/download_file?user_id=eve&filename=pipe'), [409, 'not_a_file']);
    assert.deepEqual(await code('GET', '/download_file?user_id=eve&filename=zero'), [409, 'not_a_file']);
    const part = await daemon.call('GET', '/download_file?user_id=eve&filename=huge', undefined, { Range: 'bytes=1000000000-1000000009' });
    assert.equal(part.status, 206);
    assert.equal((await part.arrayBuffer()).byteLength, 10);
    await run('rm -f pipe huge; sudo rm -f zero');
  });

  const bad: [string, string, string, unknown, number, string][] = [
    ['a path that climbs', 'GET', '/download_file?user_id=eve&filename=../etc/passwd', undefined, 400, 'invalid_path'],
    ['an absolute path', 'GET', '/download_file?user_id=eve&filename=/etc/passwd', undefined, 400, 'invalid_path'],
    ['a NUL in a path', 'GET', '/download_file?user_id=eve&filename=a%00b', undefined, 400, 'invalid_path'],
    ['an overlong name', 'GET', `/download_file?user_id=eve&filename=${'a'.repeat(300)}`, undefined, 400, 'invalid_path'],
    ['a missing file', 'GET', '/download_file?user_id=eve&filename=nothing', undefined, 404, 'file_not_found'],
    ['an unknown user', 'GET', '/list_workspace_files?user_id=nobody', undefined, 404, 'box_not_found'],
    ['a task for an unknown user', 'POST', '/claude_in_the_box', { user_id: 'nobody', task: 'x' }, 404, 'box_not_found'],
    ['an unknown runtime', 'POST', '/create_microvm', { user_id: 'new', runtime: 'cobol' }, 422, 'unknown_runtime'],
    ['a wrong type', 'POST', '/create_microvm', { user_id: 7, runtime: 'bash' }, 422, 'invalid_request'],
    ['a task without text', 'POST', '/claude_in_the_box', { user_id: 'eve', task: '' }, 422, 'invalid_request'],
    ['a file name that climbs', 'POST', '/claude_in_the_box', { user_id: 'eve', task: 'x', files: { '../x': 'y' } }, 400, 'invalid_path'],
    ['killing an unknown user', 'POST', '/kill_microvm', { user_id: 'nobody' }, 404, 'box_not_found'],
    ['an unknown route', 'GET', '/nothing', undefined, 404, 'not_found'],
  ];
  for (const [name, method, path, body, status, errorCode] of bad) {
    test(`${name} is refused with ${status} ${errorCode}`, async () => {
      assert.deepEqual(await code(method, path, body), [status, errorCode]);
    });
  }

  test('broken JSON is 400, a body beyond the limit 413', async () => {
    const headers = { 'X-API-Key': daemon.key, 'Content-Type': 'application/json' };
    const broken = await fetch(`${daemon.url}/create_microvm`, { method: 'POST', headers, body: '{"user_id": ' });
    assert.equal(broken.status, 400);
    const large = await fetch(`${daemon.url}/claude_in_the_box`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ user_id: 'eve', task: 'x', files: { big: 'x'.repeat(33 * 1024 * 1024) } }),
    });
    assert.equal(large.status, 413);
    await large.body?.cancel();
  });

  test('the guest reaches nothing but the model endpoint', async () => {
    const tried = await run(
      'for a in 10.0.2.2:22 10.0.2.3:53 127.0.0.1:8080 169.254.169.254:80 10.0.2.100:81; do timeout 3 bash -c "exec 3<>/dev/tcp/${a%:*}/${a#*:}" 2>/dev/null && echo "open $a"; done; echo tried',
    );
    assert.match(tried, /tried/);
    assert.doesNotMatch(tried, /open /);
    const other = await run('curl -s -m 10 http://10.0.2.100/v1/files; echo; curl -s -m 10 -X CONNECT http://10.0.2.100/; echo done');
    assert.match(other, /forbidden|permission_error|not_found|403/i);
  });

  test('a guest that floods its console and its output costs bounded memory and does not stop the host', async () => {
    await run('sudo sh -c "yes flood | head -c 1000000 > /dev/console"');
    const logs = await (await daemon.call('GET', `/v1/boxes/${id}/logs?tail=10000`)).text();
    assert.ok(logs.length < 4 * 1024 * 1024);
    assert.equal((await fetch(`${daemon.url}/health`)).status, 200);
  });

  test('a full disk is a clear error, the box and its conversation stay usable', async () => {
    await run('dd if=/dev/zero of=fill bs=1M count=1000 2>/dev/null; dd if=/dev/zero of=fill2 bs=1k 2>/dev/null; true');
    const put = await fetch(`${daemon.url}/v1/boxes/${id}/files/content?path=more.bin`, {
      method: 'PUT',
      headers: { 'X-API-Key': daemon.key },
      body: Buffer.alloc(8 * 1024 * 1024),
    });
    assert.equal(put.status, 507);
    assert.equal(((await put.json()) as { error: { code: string } }).error.code, 'disk_full');
    const refused = await daemon.call('POST', '/claude_in_the_box', {
      user_id: 'eve',
      task: 'Create a Python script that prints hello world',
      files: { 'a.bin': { base64: Buffer.alloc(4 * 1024 * 1024).toString('base64') } },
    });
    if (refused.ok) assert.match(await refused.text(), /disk/i);
    else assert.equal(refused.status, 507);
    await run('rm -f fill fill2');
    assert.equal(completion(await daemon.task('eve', 'Create a Python script that prints hello world')).outcome, 'done');
  });
});
