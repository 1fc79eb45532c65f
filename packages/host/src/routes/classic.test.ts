import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ApiError } from '@citb/api';
import { refused, testClient } from '@citb/testkit/services/index.ts';

const user = 'test-claude-1';

async function withBox(t: TestContext, runtime = 'claude-agent') {
  const client = await testClient(t);
  const created = await client.call('POST', '/create_microvm', { json: { user_id: user, runtime } });
  assert.equal(created.status, 200);
  return { ...client, created: (await created.json()) as { status: string; vm_ip: string; pid: number } };
}

test('a user gets a box, and the same answer again', async (t) => {
  const { call, created, services } = await withBox(t);
  assert.deepEqual(Object.keys(created), ['status', 'vm_ip', 'pid']);
  assert.equal(created.status, 'created');
  const again = await call('POST', '/create_microvm', {
    json: { user_id: user, runtime: 'claude-agent', env_vars: { ANTHROPIC_API_KEY: 'sk-test' } },
  });
  assert.deepEqual(await again.json(), created);
  assert.equal(services.boxes.lastRequest?.envVars['ANTHROPIC_API_KEY'], 'sk-test');
});

test('a box that cannot be made is an error in words', async (t) => {
  const { call, services } = await withBox(t);
  const create = (json: unknown) => call('POST', '/create_microvm', { json });
  await refused(await create({ user_id: user, runtime: 'python' }), 'runtime_conflict');
  await refused(await create({ user_id: 'other', runtime: 'cobol' }), 'unknown_runtime');
  await refused(await create({ runtime: 'python' }), 'invalid_request');
  assert.equal((await refused(await create({ user_id: 7 }), 'invalid_request')).error.field, 'user_id');
  await refused(await create({ user_id: 'a\u0000b' }), 'invalid_request');
  await refused(await create({ user_id: 'x'.repeat(257) }), 'invalid_request');
  await refused(await create({ user_id: 'other', env_vars: { 'A B': 'x' } }), 'invalid_request');
  await refused(await create({ user_id: 'other', env_vars: ['x'] }), 'invalid_request');
  services.boxes.maxBoxes = 1;
  const full = await create({ user_id: 'other' });
  assert.equal(full.headers.get('retry-after'), '10');
  await refused(full, 'host_full');
});

test('a task streams JSON lines that end with completion', async (t) => {
  const { call, lines, services } = await withBox(t);
  const json = {
    user_id: user,
    task: 'Run the hello.py script',
    files: { './src/hello.py': 'print(1)', 'raw.bin': { base64: '/wA=' } },
    context: [{ role: 'user', content: 'earlier' }],
  };
  const response = await call('POST', '/claude_in_the_box', { json });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
  assert.match(response.headers.get('x-task-id') ?? '', /^task_/);
  const events = await Array.fromAsync(lines(response));
  assert.ok(events.every((event) => typeof event['type'] === 'string' && 'content' in event));
  assert.equal(events.at(-1)?.['type'], 'completion');
  assert.equal(typeof events.at(-1)?.['content'], 'string');
  assert.deepEqual(Object.keys(services.tasks.lastRequest?.files ?? {}), ['src/hello.py', 'raw.bin']);
  assert.deepEqual(services.tasks.lastRequest?.context, json.context);

  const listing = (await (await call('GET', `/list_workspace_files?user_id=${user}`)).json()) as { files: { path: string }[] };
  assert.deepEqual(
    listing.files.map((file) => file.path),
    ['hello.py', 'raw.bin', 'src/hello.py'],
  );
});

test('a key that comes with a task goes to the service and nowhere else', async (t) => {
  const { call, services } = await withBox(t);
  const response = await call('POST', '/claude_in_the_box', {
    json: { user_id: user, task: 'hi' },
    headers: { 'X-Anthropic-Key': 'sk-ant-1' },
  });
  assert.ok(!(await response.text()).includes('sk-ant-1'));
  assert.equal(services.tasks.lastRequest?.modelKey, 'sk-ant-1');
});

test('a task that cannot begin is an HTTP error', async (t) => {
  const { call } = await withBox(t);
  const task = (json: object) => call('POST', '/claude_in_the_box', { json: { user_id: user, task: 'x', ...json } });
  await refused(await task({ user_id: 'nobody' }), 'box_not_found');
  await refused(await task({ task: '' }), 'invalid_request');
  await refused(await task({ task: 5 }), 'invalid_request');
  await refused(await task({ context: 'earlier' }), 'invalid_request');
  await refused(await task({ files: { a: 1 } }), 'invalid_request');
  await refused(await task({ files: { a: { base64: '*' } } }), 'invalid_request');
  for (const name of ['../x', '/etc/passwd', 'a/../../b', '', 'a\u0000b', 'a//b', 'x'.repeat(256), 'a/'.repeat(3000) + 'b'])
    await refused(await task({ files: { [name]: 'x' } }), 'invalid_path');
  await refused(await task({ files: { a: 'x', './a': 'y' } }), 'invalid_path');
  await refused(await task({ files: { a: 'x', 'a/b': 'y' } }), 'invalid_path');
});

test('a task in a box without an agent says so', async (t) => {
  const { call } = await withBox(t, 'bash');
  await refused(await call('POST', '/claude_in_the_box', { json: { user_id: user, task: 'x' } }), 'no_agent');
});

test('autoCreate makes the box of a first task', async (t) => {
  const { call, services } = await testClient(t, { autoCreate: true });
  const response = await call('POST', '/claude_in_the_box', { json: { user_id: 'new', task: 'x' } });
  assert.equal(response.status, 200);
  await response.text();
  assert.equal((await services.boxes.byUser('new')).runtime, 'claude-agent');
});

test('a stream that breaks says how to go on, and still ends with completion', async (t) => {
  const { call, lines, services } = await withBox(t);
  const real = services.tasks.events.bind(services.tasks);
  services.tasks.events = async function* (...args) {
    for await (const event of real(...args)) {
      yield event;
      if (event?.seq === 2) throw new ApiError('box_unreachable');
    }
  };
  const response = await call('POST', '/claude_in_the_box', { json: { user_id: user, task: 'x' } });
  const events = await Array.fromAsync(lines(response));
  assert.deepEqual(
    events.map((event) => event['type']),
    ['status', 'thinking', 'error', 'completion'],
  );
  const hint = (events[2]?.['content'] as { hint: string } | undefined)?.hint ?? '';
  assert.ok(hint.endsWith(`/v1/boxes/${response.headers.get('x-box-id')}/tasks/${response.headers.get('x-task-id')}/events?after=2`), hint);
});

test('a quiet stream carries lines that a client can ignore', async (t) => {
  const client = await testClient(t, { heartbeatMs: 20 });
  await client.call('POST', '/create_microvm', { json: { user_id: user } });
  const done = Promise.withResolvers<void>();
  client.services.tasks.script = async function* () {
    await done.promise;
    yield { type: 'completion', content: 'Done!', outcome: 'done', stop_reason: null };
  };
  const response = await client.call('POST', '/claude_in_the_box', { json: { user_id: user, task: 'x' } });
  const events = client.lines(response);
  assert.deepEqual((await events.next()).value, { type: 'heartbeat', content: '' });
  done.resolve();
  const rest = await Array.fromAsync(events);
  assert.equal(rest.at(-1)?.['content'], 'Done!');
});

test('files are downloaded whole, in part, and by HEAD', async (t) => {
  const { call } = await withBox(t);
  const files = { 'sub/ü "x".html': '0123456789', empty: '' };
  await (await call('POST', '/claude_in_the_box', { json: { user_id: user, task: 'x', files } })).text();
  const path = `/download_file?user_id=${user}&filename=${encodeURIComponent('sub/ü "x".html')}`;

  const whole = await call('GET', path);
  assert.equal(whole.status, 200);
  assert.equal(await whole.text(), '0123456789');
  assert.equal(whole.headers.get('content-type'), 'text/html');
  assert.equal(whole.headers.get('x-content-type-options'), 'nosniff');
  assert.match(whole.headers.get('content-disposition') ?? '', /^attachment; .*filename\*=UTF-8''%C3%BC%20%22x%22\.html/);
  assert.equal(whole.headers.get('content-length'), '10');

  const part = await call('GET', path, { headers: { Range: 'bytes=2-4' } });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get('content-range'), 'bytes 2-4/10');
  assert.equal(await part.text(), '234');
  await refused(await call('GET', path, { headers: { Range: 'bytes=20-' } }), 'range_not_satisfiable');

  const head = await call('HEAD', path);
  assert.equal(head.status, 200);
  assert.equal(head.headers.get('content-length'), '10');
  assert.equal(await head.text(), '');
  assert.equal(await (await call('GET', `/download_file?user_id=${user}&filename=empty`)).text(), '');
});

test('a download that cannot be is an error in words', async (t) => {
  const { call } = await withBox(t);
  const download = (query: string) => call('GET', `/download_file?${query}`);
  await refused(await download(`user_id=${user}&filename=missing`), 'file_not_found');
  await refused(await download(`user_id=nobody&filename=x`), 'box_not_found');
  await refused(await download(`user_id=${user}&filename=..%2Fx`), 'invalid_path');
  await refused(await download(`user_id=${user}&filename=%00`), 'invalid_path');
  await refused(await download(`user_id=${user}&filename=`), 'invalid_path');
  await refused(await download(`user_id=${user}`), 'invalid_request');
  await refused(await download(`user_id=${user}&filename=a&filename=b`), 'invalid_request');
  await refused(await download(`user_id=${user}&filename=%zz`), 'bad_request');
  await refused(await download(`user_id=${user}&filename=%ff`), 'bad_request');
});

test('processes, status and maintenance answer in their forms', async (t) => {
  const { call } = await withBox(t);
  const processes = (await (await call('GET', `/list_processes?user_id=${user}`)).json()) as { processes: object[] };
  assert.deepEqual(Object.keys(processes.processes[0] ?? {}), ['pid', 'user', 'cpu', 'memory', 'command']);
  const status = (await (await call('GET', '/status')).json()) as { boxes: { user_id: string }[] };
  assert.equal(status.boxes[0]?.user_id, user);
  const report = (await (await call('POST', '/maintenance')).json()) as { status: string };
  assert.equal(report.status, 'ok');
});

test('a killed box is gone', async (t) => {
  const { call } = await withBox(t);
  const killed = await call('POST', '/kill_microvm', { json: { user_id: user } });
  assert.deepEqual(await killed.json(), { status: 'killed', user_id: user });
  await refused(await call('POST', '/kill_microvm', { json: { user_id: user } }), 'box_not_found');
});

test('health needs no key and is 503 while the host cannot run boxes', async (t) => {
  const { url, services } = await testClient(t);
  assert.equal((await fetch(`${url}/health`)).status, 200);
  services.host.current = { ...services.host.current, status: 'starting', reason: 'building images' };
  const starting = await fetch(`${url}/health`);
  assert.equal(starting.status, 503);
  assert.equal(((await starting.json()) as { status: string }).status, 'starting');
});
