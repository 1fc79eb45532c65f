import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type GuestInit, type TaskEvent, agentTask, limits } from '@citb/api';
import { NativeAgent, type ScriptedModel, completionOf, only, scenario, startScriptedModel } from '@citb/testkit';

/** Waits for a condition; the test's own timeout is the deadline. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

/** Processes of this machine whose command line holds a text. */
function running(text: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        return Number.isInteger(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').includes(text);
      } catch {
        return false;
      }
    });
}

/** The Claude process that an agent server started. */
function claudeOf(agent: NativeAgent): number {
  const found = findClaude(agent);
  assert.ok(found !== undefined, 'no Claude process');
  return found;
}

function findClaude(agent: NativeAgent): number | undefined {
  return running('--permission-prompt-tool').find((pid) =>
    readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${agent.folders.state}/claude`),
  );
}

/** An agent whose Claude was started ahead and is stopped before it is ready, and that process. */
async function stoppedAhead(modelUrl: string): Promise<{ agent: NativeAgent; claude: number }> {
  for (;;) {
    const agent = await NativeAgent.create(modelUrl);
    await agent.init();
    await until(() => findClaude(agent) !== undefined);
    const claude = claudeOf(agent);
    process.kill(claude, 'SIGSTOP');
    if (!(await isParked(agent))) return { agent, claude };
    process.kill(claude, 'SIGKILL');
    await agent[Symbol.asyncDispose]();
  }
}

/** Its Claude was started ahead and is ready. */
async function isParked(agent: NativeAgent): Promise<boolean> {
  const health = (await (await agent.request('GET', '/health')).json()) as { parked: boolean };
  return health.parked;
}

/** Reads a task's events until one that fits. */
async function seen(agent: NativeAgent, id: string, fits: (event: TaskEvent) => boolean): Promise<TaskEvent> {
  for await (const event of agent.events(id)) if (fits(event)) return event;
  throw new Error('the task ended without such an event');
}

/** Who a box is. */
function identity(boxId: string): NonNullable<GuestInit['identity']> {
  return { boxId, hostname: boxId, machineId: 'a'.repeat(32) };
}

/** A command that never ends and nobody else runs. Claude Code refuses a long `sleep` in the foreground. */
let naps = 4000 + (process.pid % 1000);
function nap(): string {
  naps += 1;
  return `tail -s ${naps} -f /dev/null`;
}

suite('stopping and starting again', { timeout: 120_000 }, () => {
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

  test('a task is cancelled while it streams; what was said so far is kept, and the next one runs', async () => {
    const id = await agent.send({ prompt: scenario('long', { words: 5000, ms: 20 }) });
    await seen(agent, id, (event) => event.type === 'text_delta');
    assert.equal((await agent.request('POST', `/tasks/${id}/cancel`)).status, 202);
    const events = await agent.all(id);
    assert.equal(completionOf(events).outcome, 'interrupted');
    assert.equal(only(events, 'text')[0]?.aborted, true);
    assert.deepEqual(only(events, 'error'), []);
    assert.equal(completionOf(await agent.run(scenario('say'))).outcome, 'done');
  });

  test('a task is cancelled while a tool runs, and the tool dies', async () => {
    const command = nap();
    const id = await agent.send({ prompt: scenario('bash', { command }) });
    await until(() => running(command).length > 0);
    await agent.request('POST', `/tasks/${id}/cancel`);
    assert.equal(completionOf(await agent.all(id)).outcome, 'interrupted');
    await until(() => running(command).length === 0);
  });

  test('a task that waits is cancelled at once', async () => {
    const first = await agent.send({ prompt: scenario('wait', { name: 'one' }) });
    const second = await agent.send({ prompt: scenario('say') });
    await agent.request('POST', `/tasks/${second}/cancel`);
    const events = await agent.all(second);
    assert.equal(completionOf(events).outcome, 'interrupted');
    assert.equal(events.length, 2);
    model.release('one');
    assert.equal(completionOf(await agent.all(first)).outcome, 'done');
  });

  test('a task that takes too long is stopped', async () => {
    const events = await agent.run({ prompt: scenario('long', { words: 5000, ms: 20 }), options: { timeout_s: 1 } });
    assert.equal(only(events, 'error')[0]?.content.code, 'timeout');
    assert.equal(completionOf(events).outcome, 'interrupted');
  });

  test('a question that nobody answers ends with the task', async () => {
    const id = await agent.send({ prompt: scenario('ask') });
    await seen(agent, id, (event) => event.type === 'question');
    await agent.request('POST', `/tasks/${id}/cancel`);
    assert.equal(completionOf(await agent.all(id)).outcome, 'interrupted');
  });

  test('more tasks than the queue takes are refused', async () => {
    const ids = [await agent.send({ prompt: scenario('wait', { name: 'full' }) })];
    for (let n = 1; n < limits.tasksPerBox; n += 1) ids.push(await agent.send({ prompt: scenario('say') }));
    await assert.rejects(agent.send({ prompt: scenario('say') }), /429.*queue_full/);
    model.release('full');
    for (const id of ids) assert.equal(completionOf(await agent.all(id)).outcome, 'done');
  });

  test('a killed Claude ends its task, its tools die with it, and the conversation goes on', async () => {
    const command = nap();
    await agent.run(scenario('say', { text: 'The word is cormorant.' }));
    const id = await agent.send({ prompt: scenario('bash', { command }) });
    await until(() => running(command).length > 0);
    process.kill(claudeOf(agent), 'SIGKILL');
    const events = await agent.all(id);
    assert.equal(only(events, 'error')[0]?.content.code, 'agent_died');
    assert.equal(completionOf(events).outcome, 'failed');
    await until(() => running(command).length === 0);
    assert.match(completionOf(await agent.run(scenario('recall'))).content, /cormorant/);
  });

  test('a stopped Claude that does not answer is killed when its task is cancelled', async () => {
    const id = await agent.send({ prompt: scenario('wait', { name: 'never' }) });
    await until(() => model.waiting('never') > 0);
    const claude = claudeOf(agent);
    process.kill(claude, 'SIGSTOP');
    await agent.request('POST', `/tasks/${id}/cancel`);
    assert.equal(completionOf(await agent.all(id)).outcome, 'interrupted');
    await until(() => !running('--permission-prompt-tool').includes(claude));
    assert.equal(completionOf(await agent.run(scenario('say'))).outcome, 'done');
  });

  test('a server that a task left running stays when the next task needs another Claude', async () => {
    const command = nap();
    await agent.run(scenario('bash', { command: `setsid ${command} > /dev/null 2>&1 & echo started` }));
    const first = claudeOf(agent);
    await agent.run({ prompt: scenario('say'), options: { conversation: 'elsewhere' } });
    assert.notEqual(claudeOf(agent), first);
    assert.equal(running(command).length, 1);
    await agent.end('SIGTERM');
    await agent.start();
    await until(() => running(command).length === 0);
  });

  test('a killed server ends what ran, does what waited, keeps all events and remembers', async () => {
    const command = nap();
    const told = await agent.run(scenario('say', { text: 'The word is heron.' }));
    const ran = await agent.send({ prompt: scenario('bash', { command }) });
    const waits = await agent.send({ prompt: scenario('recall') });
    await until(() => running(command).length > 0);
    const { last_seq: lastSeq } = agentTask.parse(await (await agent.request('GET', `/tasks/${ran}`)).json());
    await agent.end('SIGKILL');
    await agent.start();

    const events = await agent.all(ran);
    assert.equal(only(events, 'error')[0]?.content.code, 'agent_restarted');
    assert.equal(completionOf(events).outcome, 'interrupted');
    assert.deepEqual(
      events.map((event) => event.seq),
      events.map((_, index) => index + 1),
    );
    assert.ok(events.length >= lastSeq);
    await until(() => running(command).length === 0);
    const answer = completionOf(await agent.all(waits));
    assert.equal(answer.outcome, 'done');
    assert.match(answer.content, /heron/);
    assert.equal(answer.session_id, completionOf(told).session_id);
  });

  test('a lost transcript is said, and a new conversation begins', async () => {
    await agent.run({ prompt: scenario('say'), options: { conversation: 'lost' } });
    await agent.run({ prompt: scenario('say'), options: { conversation: 'other' } });
    await rm(join(agent.folders.state, 'claude', 'projects'), { recursive: true });
    const events = await agent.run({ prompt: scenario('recall'), options: { conversation: 'lost' } });
    assert.ok(only(events, 'status').some((event) => event.content.status === 'memory_lost'));
    assert.equal(completionOf(events).content, '[]');
  });

  test('a task is not done when its conversation could not be saved', async () => {
    // The first task makes the file.
    await agent.run({ prompt: scenario('say'), options: { conversation: 'unsaved' } });
    const id = await agent.send({ prompt: scenario('wait', { name: 'unsaved' }), options: { conversation: 'unsaved' } });
    await until(() => model.waiting('unsaved') > 0);
    const projects = join(agent.folders.state, 'claude', 'projects');
    for (const name of await readdir(projects, { recursive: true }))
      if (name.endsWith('.jsonl')) {
        // A folder in its place: nothing can be appended, as on a full or read-only disk.
        await rm(join(projects, name));
        await mkdir(join(projects, name));
      }
    model.release('unsaved');
    const events = await agent.all(id);
    assert.equal(only(events, 'text')[0]?.content, 'Released.');
    assert.equal(only(events, 'error')[0]?.content.code, 'transcript_lost');
    assert.equal(completionOf(events).outcome, 'failed');
    await rm(projects, { recursive: true });
  });

  test('a clone of a box goes on with its memory under a session id of its own', async () => {
    await agent.init({ identity: identity('box-one') });
    const one = await agent.run(scenario('say', { text: 'The word is stork.' }));
    await agent.init({ identity: identity('box-two') });
    const two = await agent.run(scenario('recall'));
    assert.match(completionOf(two).content, /stork/);
    assert.notEqual(completionOf(one).session_id, completionOf(two).session_id);
    const three = await agent.run(scenario('say'));
    assert.equal(completionOf(three).session_id, completionOf(two).session_id);
  });

  test('a Claude that was started ahead takes the first task', async () => {
    await using other = await NativeAgent.create(model.url);
    await other.init();
    await until(() => isParked(other));
    const ahead = claudeOf(other);
    assert.equal(completionOf(await other.run(scenario('say'))).outcome, 'done');
    assert.equal(claudeOf(other), ahead);
  });

  test('a Claude that was started ahead and is killed before its first task costs no task', async () => {
    await using ready = await NativeAgent.create(model.url);
    await ready.init();
    await until(() => isParked(ready));
    process.kill(claudeOf(ready), 'SIGKILL');
    await until(async () => !(await isParked(ready)));
    assert.equal(completionOf(await ready.run(scenario('say'))).outcome, 'done');

    const { agent: unready, claude } = await stoppedAhead(model.url);
    await using _ = unready;
    const id = await unready.send({ prompt: scenario('say') });
    await seen(unready, id, (event) => event.type === 'status');
    process.kill(claude, 'SIGKILL');
    assert.equal(completionOf(await unready.all(id)).outcome, 'done');
  });

  test('a task is cancelled while it waits for a Claude that is not ready, which the next one gets', async () => {
    const { agent: other, claude } = await stoppedAhead(model.url);
    await using _ = other;
    const id = await other.send({ prompt: scenario('say') });
    await seen(other, id, (event) => event.type === 'status');
    await other.request('POST', `/tasks/${id}/cancel`);
    assert.equal(completionOf(await other.all(id)).outcome, 'interrupted');
    process.kill(claude, 'SIGCONT');
    assert.equal(completionOf(await other.run(scenario('say'))).outcome, 'done');
    assert.equal(claudeOf(other), claude);
  });
});
