import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { NativeAgent, type ScriptedModel, completionOf, newTaskId, only, scenario, startScriptedModel } from '@citb/testkit';

/** The real Claude Code against the scripted model. One server for all; each test has a conversation of its own. */
suite('the agent server with the real Claude Code', { timeout: 120_000 }, () => {
  let model: ScriptedModel;
  let agent: NativeAgent;
  before(async () => {
    model = await startScriptedModel();
    agent = await NativeAgent.create(model.url);
    await agent.init();
  });
  after(async () => {
    await agent[Symbol.asyncDispose]();
    await model.close();
  });

  test('nobody gets in without the token', async () => {
    const response = await fetch(`${agent.url}/tasks`);
    assert.equal(response.status, 401);
    assert.equal((await fetch(`${agent.url}/health`)).status, 200);
  });

  test('a task writes a program, runs it and tells what it printed; the next task remembers', async () => {
    const events = await agent.run('Create a Python script that prints hello world');
    assert.deepEqual(
      events.map((event) => event.seq),
      events.map((_, index) => index + 1),
    );
    assert.deepEqual(
      only(events, 'tool_use').map((event) => event.content.name),
      ['Write', 'Bash'],
    );
    assert.deepEqual(
      only(events, 'tool_result').map((event) => event.content.tool_use_id),
      only(events, 'tool_use').map((event) => event.content.id),
    );
    assert.match(completionOf(events).content, /hello world/);
    assert.equal(completionOf(events).outcome, 'done');
    assert.equal(await readFile(join(agent.folders.workspace, 'hello.py'), 'utf8'), 'print("hello world")\n');
    assert.equal(only(events, 'usage').length, 1);
    assert.ok((only(events, 'usage')[0]?.content.output_tokens ?? 0) > 30);

    const next = await agent.run(scenario('recall'));
    assert.match(completionOf(next).content, /Create a Python script that prints hello world/);
    assert.equal(completionOf(next).session_id, completionOf(events).session_id);
  });

  test('no key is asked of the box: the model sees a placeholder', () => {
    assert.ok(model.requests.length > 0);
    for (const request of model.requests) assert.match(request.apiKey ?? '', /^placeholder/);
  });

  test('files of a task are there when it begins, in folders and as bytes', async () => {
    const events = await agent.run({
      prompt: scenario('bash', { command: 'cat sub/a.txt; wc -c < b.bin' }),
      files: { 'sub/a.txt': 'from the task\n', 'b.bin': { base64: Buffer.from([0, 255, 1]).toString('base64') } },
    });
    assert.match(completionOf(events).content, /from the task\n3/);
  });

  test('a file that leads out of the workspace fails the task, with its name', async () => {
    const events = await agent.run({ prompt: scenario('say'), files: { '../out.txt': 'x' } });
    assert.equal(only(events, 'error')[0]?.content.code, 'invalid_path');
    assert.equal(completionOf(events).outcome, 'failed');
  });

  test('deltas add up to the texts, in order', async () => {
    const events = await agent.run(scenario('long', { words: 300 }));
    const deltas = only(events, 'text_delta');
    assert.ok(deltas.length > 100);
    assert.equal(
      deltas.map((event) => event.content).join(''),
      only(events, 'text')
        .map((event) => event.content)
        .join(''),
    );
  });

  test('thinking comes apart from text', async () => {
    const events = await agent.run(scenario('think', { thought: 'Let me see.', text: 'Seen.' }));
    assert.deepEqual(
      only(events, 'thinking').map((event) => event.content),
      ['Let me see.'],
    );
    assert.equal(
      only(events, 'thinking_delta')
        .map((event) => event.content)
        .join(''),
      'Let me see.',
    );
    assert.equal(completionOf(events).content, 'Seen.');
  });

  test('a broken stream goes on after the last event that was seen', async () => {
    const id = await agent.send({ prompt: scenario('long', { words: 60, ms: 5 }) });
    const seen: number[] = [];
    for await (const event of agent.events(id)) {
      seen.push(event.seq);
      if (seen.length === 12) break;
    }
    for await (const event of agent.events(id, seen.at(-1))) seen.push(event.seq);
    assert.deepEqual(
      seen,
      seen.map((_, index) => index + 1),
    );
    const replayed = await agent.all(id);
    assert.equal(replayed.length, seen.length);
  });

  test('tasks run one after the other, in the order in which they came', async () => {
    const prompts = ['first', 'second', 'third'].map((word) => scenario('bash', { command: `echo ${word} >> order.txt; sleep 0.1` }));
    const ids: string[] = [];
    for (const prompt of prompts) ids.push(await agent.send({ prompt }));
    const all = await Promise.all(ids.map((id) => agent.all(id)));
    for (const events of all) assert.equal(completionOf(events).outcome, 'done');
    assert.equal(await readFile(join(agent.folders.workspace, 'order.txt'), 'utf8'), 'first\nsecond\nthird\n');
    for (const [index, events] of all.slice(1).entries())
      assert.ok((events[1]?.ts ?? '') >= (all[index]?.at(-1)?.ts ?? ''), 'a task began before the one ahead had ended');
  });

  test('the same id again is the same task', async () => {
    const id = newTaskId();
    const task = { id, prompt: scenario('say', { text: 'once' }) };
    await agent.send(task);
    await agent.send(task);
    assert.equal(only(await agent.all(id), 'text').length, 1);
    await agent.send(task);
    assert.equal((await agent.all(id)).at(-1)?.type, 'completion');
  });

  test('@file and /command of a prompt are just text', async () => {
    await agent.run('@/etc/hostname /compact');
    await agent.run('/compact please');
    const prompts = model.requests.map((request) => request.prompt);
    assert.ok(prompts.includes('@/etc/hostname /compact'));
    assert.ok(prompts.includes('/compact please'));
  });

  test('a question waits for its answer and goes on with it', async () => {
    const id = await agent.send({ prompt: scenario('ask', { question: 'Which colour?', options: 'Red|Blue' }) });
    const events = [];
    for await (const event of agent.events(id)) {
      events.push(event);
      if (event.type !== 'question') continue;
      assert.equal(event.content.questions[0]?.question, 'Which colour?');
      assert.equal((await agent.request('POST', `/tasks/${id}/answers/nothing`, { answers: {} })).status, 404);
      const answer = await agent.request('POST', `/tasks/${id}/answers/${event.content.question_id}`, {
        answers: { 'Which colour?': 'Blue' },
      });
      assert.equal(answer.status, 204);
    }
    assert.match(completionOf(events).content, /Blue/);
  });

  test('a subagent is marked, and the task ends only when it has ended', async () => {
    for (const background of [{}, { background: 1 }]) {
      const events = await agent.run(scenario('subagent', { prompt: scenario('say', { text: 'part done' }), ...background }));
      const inner = only(events, 'text').filter((event) => event.parent_tool_use_id !== undefined);
      assert.deepEqual(
        inner.map((event) => event.content),
        ['part done'],
      );
      assert.equal(events.filter((event) => event.type === 'completion').length, 1);
      assert.ok(only(events, 'status').some((event) => event.content.status === 'subagent' && event.content['event'] === 'completed'));
    }
  });

  test('a tool result that is too long is cut, and says so', async () => {
    const events = await agent.run(scenario('bash', { command: 'seq 1 300000' }));
    for (const event of events) assert.ok(JSON.stringify(event).length < 1024 * 1024);
    assert.equal(completionOf(events).outcome, 'done');
  });

  test('with context a conversation of its own begins from just these messages', async () => {
    const context = [
      { role: 'user' as const, content: 'My name is Ada.' },
      {
        role: 'assistant' as const,
        content: [
          { type: 'text', text: 'Hello Ada.' },
          { type: 'tool_use', id: 'call:1', name: 'Look', input: {} },
        ],
      },
      { role: 'user' as const, content: [{ type: 'tool_result', tool_use_id: 'call:1', content: 'seen' }] },
      { role: 'assistant' as const, content: 'I looked.' },
    ];
    const id = await agent.send({ prompt: scenario('recall'), context });
    assert.deepEqual(JSON.parse(completionOf(await agent.all(id)).content), [
      'user: My name is Ada.',
      'assistant: Hello Ada.',
      'assistant: I looked.',
    ]);
    // It can be gone on with by its name, and the box's own does not know of it.
    const again = await agent.run({ prompt: scenario('recall'), options: { conversation: id } });
    assert.match(completionOf(again).content, /My name is Ada/);
    assert.doesNotMatch(completionOf(await agent.run(scenario('recall'))).content, /Ada/);
  });

  test('the options of a task reach Claude Code', async () => {
    const events = await agent.run({
      prompt: scenario('history'),
      options: { conversation: 'options', model: 'claude-opus-4-8', system_prompt: 'Speak like a pirate.' },
    });
    assert.match(completionOf(events).content, /Speak like a pirate/);
    assert.equal(model.requests.at(-1)?.model, 'claude-opus-4-8');
    const limited = await agent.run({ prompt: scenario('many_tools', { n: 5 }), options: { conversation: 'options', max_turns: 2 } });
    assert.equal(only(limited, 'error')[0]?.content.code, 'max_turns');
    // One call of the model costs more.
    const poor = await agent.run({
      prompt: scenario('many_tools', { n: 5 }),
      options: { conversation: 'options', max_budget_usd: 0.000_001 },
    });
    assert.equal(only(poor, 'error')[0]?.content.code, 'max_budget');
    assert.ok(only(poor, 'tool_use').length < 5);
    const rich = await agent.run({ prompt: scenario('many_tools', { n: 2 }), options: { conversation: 'options', max_budget_usd: 100 } });
    assert.equal(completionOf(rich).outcome, 'done');
  });

  test('wrong requests are refused in words', async () => {
    assert.equal((await agent.request('POST', '/tasks', { id: 'no', prompt: 'x' })).status, 422);
    assert.equal((await agent.request('GET', `/tasks/${newTaskId()}`)).status, 404);
    assert.equal((await agent.request('GET', `/tasks/${newTaskId()}/events`)).status, 404);
    const id = await agent.send({ prompt: scenario('say') });
    await agent.all(id);
    assert.equal((await agent.request('POST', `/tasks/${id}/cancel`)).status, 409);
    assert.equal((await agent.request('DELETE', `/tasks/${id}`)).status, 204);
    assert.equal((await agent.request('GET', `/tasks/${id}`)).status, 404);
  });
});
