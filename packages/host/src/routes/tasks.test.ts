import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Task } from '@citb/api';
import { completion, refused, testClient } from '@citb/testkit/services/index.ts';

async function withBox(t: TestContext) {
  const client = await testClient(t);
  await client.call('POST', '/v1/boxes', { json: { id: 'b1' } });
  const start = async (json: object = { prompt: 'hi' }, headers = {}) => client.call('POST', '/v1/boxes/b1/tasks', { json, headers });
  /** All events of a stream that ends. */
  const events = async (path: string, headers = {}) => Array.fromAsync(client.lines(await client.call('GET', path, { headers })));
  return { ...client, start, events };
}
const seqs = (events: Record<string, unknown>[]) => events.map((event) => event['seq']);

test('a task is started, found, listed, and its events replayed', async (t) => {
  const { call, start, events, services } = await withBox(t);
  const created = await start({ prompt: 'hi', model: 'claude-x', max_turns: 3, conversation: 'side', files: { 'a.txt': 'x' } });
  assert.equal(created.status, 201);
  const task = (await created.json()) as Task;
  const address = `/v1/boxes/b1/tasks/${task.id}`;
  assert.equal(created.headers.get('location'), address);
  assert.equal(created.headers.get('x-task-id'), task.id);
  assert.deepEqual(services.tasks.lastRequest?.options, { model: 'claude-x', max_turns: 3, conversation: 'side' });

  const all = await events(`${address}/events`);
  assert.deepEqual(
    seqs(all),
    all.map((_, index) => index + 1),
  );
  assert.deepEqual(await events(`${address}/events`), all);
  const ended = (await (await call('GET', address)).json()) as Task;
  assert.equal(ended.state, 'done');
  assert.equal(ended.last_seq, all.length);
  const list = (await (await call('GET', '/v1/boxes/b1/tasks?limit=1')).json()) as { tasks: Task[]; next: string | null };
  assert.deepEqual([list.tasks.map(({ id }) => id), list.next], [[task.id], null]);
});

test('a broken stream goes on after the last seq, by query or by Last-Event-ID', async (t) => {
  const { start, call, events } = await withBox(t);
  const { id } = (await (await start()).json()) as Task;
  const address = `/v1/boxes/b1/tasks/${id}/events`;
  const all = await events(address);
  assert.deepEqual(await events(`${address}?after=4`), all.slice(4));
  assert.deepEqual(await events(address, { 'Last-Event-ID': '5' }), all.slice(5));
  assert.deepEqual(await events(`${address}?after=6`, { 'Last-Event-ID': '2' }), all.slice(6));
  assert.deepEqual(await events(`${address}?after=100000`), []);

  const sse = await call('GET', `${address}?after=2`, { headers: { Accept: 'text/event-stream' } });
  assert.equal(sse.headers.get('content-type'), 'text/event-stream');
  const blocks = (await sse.text()).trimEnd().split('\n\n');
  assert.equal(blocks[0], 'retry: 1000');
  assert.equal(blocks[1], `id: 3\ndata: ${JSON.stringify(all[2])}`);
  // An EventSource that has all is told to stay away.
  const over = await call('GET', address, { headers: { Accept: 'text/event-stream', 'Last-Event-ID': String(all.length) } });
  assert.equal(over.status, 204);

  for (const bad of ['?after=-1', '?after=x', '?after=1&after=2', '?after=1.5'])
    await refused(await call('GET', address + bad), 'invalid_request');
  await refused(await call('GET', address, { headers: { 'Last-Event-ID': 'x' } }), 'invalid_request');
});

test('one request starts a task and streams it', async (t) => {
  const { call, lines, start } = await withBox(t);
  const asked = await call('POST', '/v1/boxes/b1/tasks?stream=true', { json: { prompt: 'x' } });
  assert.equal(asked.status, 201);
  assert.equal((await Array.fromAsync(lines(asked))).at(-1)?.['type'], 'completion');
  const ndjson = await start({ prompt: 'x' }, { Accept: 'application/x-ndjson' });
  assert.equal(ndjson.headers.get('content-type'), 'application/x-ndjson');
  await ndjson.text();
  const sse = await start({ prompt: 'x' }, { Accept: 'text/event-stream' });
  assert.match(await sse.text(), /\nid: 1\ndata: /);
  const not = await call('POST', '/v1/boxes/b1/tasks?stream=false', { json: { prompt: 'x' }, headers: { Accept: 'text/event-stream' } });
  assert.equal(not.headers.get('content-type'), 'application/json');
});

test('the first line arrives while the task still runs', async (t) => {
  const { lines, call, services } = await withBox(t);
  const gate = Promise.withResolvers<void>();
  services.tasks.script = async function* () {
    yield { type: 'text', content: 'first' };
    await gate.promise;
    yield completion('second');
  };
  const stream = lines(await call('POST', '/v1/boxes/b1/tasks?stream=true', { json: { prompt: 'x' } }));
  assert.equal((await stream.next()).value?.['content'], 'first');
  gate.resolve();
  assert.equal((await stream.next()).value?.['content'], 'second');
});

test('a client that leaves does not stop the task', async (t) => {
  const { lines, call, services, events } = await withBox(t);
  const gate = Promise.withResolvers<void>();
  services.tasks.script = async function* () {
    yield { type: 'text', content: 'first' };
    await gate.promise;
    yield completion('Done!');
  };
  const response = await call('POST', '/v1/boxes/b1/tasks?stream=true', { json: { prompt: 'x' } });
  const stream = lines(response);
  await stream.next();
  await stream.return(undefined);
  gate.resolve();
  const rest = await events(`/v1/boxes/b1/tasks/${response.headers.get('x-task-id')}/events?after=1`);
  assert.deepEqual(
    rest.map((event) => [event['type'], event['outcome']]),
    [['completion', 'done']],
  );
});

test('a question of the agent is answered', async (t) => {
  const { lines, call } = await withBox(t);
  const response = await call('POST', '/v1/boxes/b1/tasks?stream=true', { json: { prompt: 'ask me' } });
  const answers = `/v1/boxes/b1/tasks/${response.headers.get('x-task-id')}/answers`;
  const seen: unknown[] = [];
  for await (const event of lines(response)) {
    seen.push(event['content']);
    if (event['type'] !== 'question') continue;
    await refused(await call('POST', `${answers}/other`, { json: { answers: {} } }), 'question_not_found');
    await refused(await call('POST', `${answers}/question_1`, { json: { answers: 'Hi' } }), 'invalid_request');
    const answered = await call('POST', `${answers}/question_1`, { json: { answers: { 'Which greeting?': 'Hi' } } });
    assert.equal(answered.status, 204);
  }
  assert.ok(seen.includes('You chose Hi.'));
});

test('a task is cancelled once', async (t) => {
  const { start, call, services, events } = await withBox(t);
  services.tasks.script = async function* ({ signal }) {
    yield { type: 'text', content: 'working' };
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  };
  const { id } = (await (await start()).json()) as Task;
  const cancelled = await call('POST', `/v1/boxes/b1/tasks/${id}/cancel`);
  assert.equal(cancelled.status, 202);
  assert.equal((await events(`/v1/boxes/b1/tasks/${id}/events`)).at(-1)?.['outcome'], 'interrupted');
  await refused(await call('POST', `/v1/boxes/b1/tasks/${id}/cancel`), 'task_ended');
});

test('the same Idempotency-Key is the same task', async (t) => {
  const { start } = await withBox(t);
  const key = { 'Idempotency-Key': 'k' };
  const first = (await (await start({ prompt: 'a' }, key)).json()) as Task;
  assert.equal(((await (await start({ prompt: 'a' }, key)).json()) as Task).id, first.id);
  await refused(await start({ prompt: 'b' }, key), 'idempotency_conflict');
});

test('what cannot be a task is refused', async (t) => {
  const { start, call } = await withBox(t);
  const bad = [{}, { prompt: 1 }, { prompt: 'x', max_turns: 0 }, { prompt: 'x', conversation: '../x' }, { prompt: 'x', timeout_s: 1e9 }];
  for (const json of bad) await refused(await start(json), 'invalid_request');
  await refused(await start({ prompt: 'x', files: { '../x': 'y' } }), 'invalid_path');
  await refused(await start({ prompt: 'x' }, { 'X-Anthropic-Key': 'a b' }), 'invalid_request');
  await refused(await call('GET', '/v1/boxes/b1/tasks/task_00000000000000000000'), 'task_not_found');
  await refused(await call('GET', '/v1/boxes/b1/tasks/x/events'), 'task_not_found');
  await refused(await call('POST', '/v1/boxes/none/tasks', { json: { prompt: 'x' } }), 'box_not_found');
});
