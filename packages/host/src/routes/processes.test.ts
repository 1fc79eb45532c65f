import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { refused, testClient } from '@citb/testkit/services/index.ts';

async function withBox(t: TestContext) {
  const client = await testClient(t);
  await client.call('POST', '/v1/boxes', { json: { id: 'b1', runtime: 'bash' } });
  const exec = (json: object) => client.call('POST', '/v1/boxes/b1/exec', { json });
  return { ...client, exec };
}
const outputOf = (events: Record<string, unknown>[], type: string) =>
  events
    .filter((event) => event['type'] === type)
    .map((event) => event['data'])
    .join('');

test('a command streams its output and how it ended', async (t) => {
  const { exec, lines } = await withBox(t);
  const response = await exec({ command: 'cat; echo "$NAME" >&2; exit 3', stdin: 'in', env: { NAME: 'err' } });
  assert.equal(response.status, 200);
  const events = await Array.fromAsync(lines(response));
  assert.equal(events[0]?.['type'], 'start');
  assert.equal(outputOf(events, 'stdout'), 'in');
  assert.equal(outputOf(events, 'stderr'), 'err\n');
  assert.deepEqual(events.at(-1), { type: 'exit', exit_code: 3, signal: null, timed_out: false, error: null });
});

test('output arrives while the command runs, and a client that leaves kills it', async (t) => {
  const { exec, lines, services } = await withBox(t);
  const events = lines(await exec({ command: ['/bin/sh', '-c', 'echo first; sleep 600'] }));
  await events.next();
  assert.equal((await events.next()).value?.['data'], 'first\n');
  await events.return(undefined);
  while ((await services.processes.list('b1')).length > 1) await new Promise((resolve) => setTimeout(resolve, 20));
});

test('a command runs in the background, takes input and ends by signal', async (t) => {
  const { exec, call, lines } = await withBox(t);
  const started = await exec({ command: 'while read line; do echo "got $line"; done; sleep 600', background: true, keep_stdin: true });
  assert.equal(started.status, 201);
  const { pid } = (await started.json()) as { pid: number };
  const at = `/v1/boxes/b1/processes/${pid}`;
  assert.equal(started.headers.get('location'), `${at}/output`);
  const list = (await (await call('GET', '/v1/boxes/b1/processes')).json()) as { processes: { pid: number }[] };
  assert.ok(list.processes.some((process) => process.pid === pid));

  assert.equal((await call('POST', `${at}/stdin`, { json: { data: { base64: Buffer.from('one\n').toString('base64') } } })).status, 204);
  assert.equal((await call('POST', `${at}/stdin`, { json: { data: 'two\n', close: true } })).status, 204);
  const events: Record<string, unknown>[] = [];
  for await (const event of lines(await call('GET', `${at}/output`))) {
    events.push(event);
    if (outputOf(events, 'stdout') === 'got one\ngot two\n' && event['type'] === 'stdout')
      assert.equal((await call('POST', `${at}/signal`, { json: { signal: 'SIGKILL' } })).status, 204);
  }
  assert.equal(events.at(-1)?.['signal'], 'SIGKILL');
});

test('a command that takes too long is killed', async (t) => {
  const { exec, lines } = await withBox(t);
  const events = await Array.fromAsync(lines(await exec({ command: 'sleep 600', timeout_s: 0.1 })));
  assert.equal(events.at(-1)?.['timed_out'], true);
});

test('what cannot be run is refused', async (t) => {
  const { exec, call } = await withBox(t);
  for (const json of [{}, { command: '' }, { command: [] }, { command: 'x', timeout_s: -1 }, { command: 'x', stdin: { base64: '*' } }])
    await refused(await exec(json), 'invalid_request');
  await refused(await call('POST', '/v1/boxes/none/exec', { json: { command: 'x' } }), 'box_not_found');
  for (const pid of ['999999', '0', '-1', 'x', '1.5', '99999999999'])
    await refused(await call('GET', `/v1/boxes/b1/processes/${pid}/output`), 'process_not_found');
  await refused(await call('POST', '/v1/boxes/b1/processes/1/signal', { json: { signal: 'SIGSTOP' } }), 'invalid_request');
});
