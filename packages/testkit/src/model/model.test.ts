import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type ScriptedModel, startScriptedModel } from './server.ts';
import { readMarker, scenario } from './script.ts';

type Content = string | readonly Record<string, unknown>[];

function user(content: Content): { role: string; content: Content } {
  return { role: 'user', content };
}

suite('the scripted model', () => {
  let model: ScriptedModel;
  before(async () => {
    model = await startScriptedModel();
  });
  after(() => model.close());

  function post(messages: readonly { role: string; content: Content }[], more: Record<string, unknown> = {}): Promise<Response> {
    return fetch(`${model.url}/v1/messages?beta=true`, {
      method: 'POST',
      headers: { 'x-api-key': 'some-key' },
      body: JSON.stringify({ model: 'm', max_tokens: 10, messages, tools: [{ name: 'Bash' }], ...more }),
    });
  }
  test('a marker can be written and read back', () => {
    const args = { text: 'a "b" \\ c\nd]', n: '3' };
    assert.deepEqual(readMarker(`please ${scenario('say', args)} now`), { name: 'say', args });
    assert.equal(readMarker('nothing here'), undefined);
  });

  test('an answer in one piece', async () => {
    const answer = (await (await post([user(scenario('say', { text: 'Hi' }))])).json()) as { content: unknown; stop_reason: string };
    assert.deepEqual(answer.content, [{ type: 'text', text: 'Hi' }]);
    assert.equal(answer.stop_reason, 'end_turn');
  });

  test('a stream has event and data lines, and its deltas add up', async () => {
    const response = await post([user(scenario('say', { text: 'Hello 😀 world', deltas: 5 }))], { stream: true });
    const events = (await response.text())
      .trim()
      .split('\n\n')
      .map((part) => /^event: (\w+)\ndata: (.*)$/.exec(part));
    assert.ok(events.every((event) => event !== null));
    const data = events.map((event) => JSON.parse(event?.[2] ?? '') as { type: string; delta?: { text?: string } });
    assert.deepEqual(
      data.map((event) => event.type),
      events.map((event) => event?.[1]),
    );
    assert.equal(data.map((event) => event.delta?.text ?? '').join(''), 'Hello 😀 world');
    assert.equal(data[0]?.type, 'message_start');
    assert.equal(data.at(-1)?.type, 'message_stop');
  });

  test('the step follows from the history; reminders and system messages are no prompts', async () => {
    const history = [
      user([
        { type: 'text', text: '<system-reminder>never mind</system-reminder>' },
        { type: 'text', text: 'Create hello.py' },
      ]),
      { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'Write', input: { file_path: '/workspace/hello.py' } }] },
      user([{ type: 'tool_result', tool_use_id: 't1', content: 'ok' }]),
      { role: 'system', content: 'a reminder' },
    ];
    const answer = (await (await post(history)).json()) as { content: { type: string; name?: string; input?: { command?: string } }[] };
    assert.equal(answer.content.at(-1)?.name, 'Bash');
    assert.match(answer.content.at(-1)?.input?.command ?? '', /python3 hello\.py/);
  });

  test('the requests of the README are done by tools, with the text that was asked for', async () => {
    for (const [prompt, name, wanted] of [
      ['Create a Python script that prints hello world', 'Write', 'print("hello world")\n'],
      ['Create a Python script that prints hello world, and run it', 'Write', 'print("hello world")\n'],
      ['Write greet.js, a node script that prints "Guten Tag"', 'Write', 'console.log("Guten Tag");\n'],
      ['Run the hello.py script', 'Bash', undefined],
    ] as const) {
      const answer = (await (await post([user(prompt)])).json()) as { content: { name?: string; input?: { content?: string } }[] };
      assert.equal(answer.content.at(-1)?.name, name);
      assert.equal(answer.content.at(-1)?.input?.content, wanted);
    }
  });

  test('errors come with their status and headers', async () => {
    const response = await post([user(scenario('error', { status: 529, after: 3 }))]);
    assert.equal(response.status, 529);
    assert.equal(response.headers.get('retry-after'), '3');
    assert.equal(response.headers.get('x-should-retry'), 'false');
  });

  test('a fault can happen so many times', async () => {
    const messages = [user(scenario('error', { status: 500, times: 2 }))];
    const statuses = [];
    for (let n = 0; n < 3; n += 1) statuses.push((await post(messages)).status);
    assert.deepEqual(statuses, [500, 500, 200]);
  });

  test('the socket is cut before and during an answer', async () => {
    await assert.rejects(post([user(scenario('cut'))]));
    await assert.rejects(async () => (await post([user(scenario('cut_during'))], { stream: true })).text());
  });

  test('an answer waits for its release', async () => {
    const answer = post([user(scenario('wait', { name: 'gate', text: 'Now.' }))]);
    while (model.waiting('gate') === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await fetch(`${model.url}/release/gate`, { method: 'POST' });
    assert.match(await (await answer).text(), /Now\./);
  });

  test('requests are recorded with their key', async () => {
    await post([user(scenario('say'))]);
    const last = model.requests.at(-1);
    assert.deepEqual([last?.apiKey, last?.model, last?.scenario, last?.messages], ['some-key', 'm', 'say', 1]);
  });

  test('what a client asks besides is answered, and nonsense refused', async () => {
    assert.equal((await fetch(`${model.url}/api/hello`, { method: 'HEAD' })).status, 200);
    assert.equal((await fetch(`${model.url}/v1/messages/count_tokens`, { method: 'POST', body: '{}' })).status, 200);
    assert.equal((await fetch(`${model.url}/v1/messages`, { method: 'POST', body: 'no' })).status, 400);
    assert.equal((await fetch(`${model.url}/v1/other`, { method: 'POST', body: '{}' })).status, 404);
  });
});
