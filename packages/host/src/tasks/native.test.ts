import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLog } from '@citb/daemon';
import { completionOf, NativeAgent, only, scenario, startScriptedModel } from '@citb/testkit';
import { createBroker } from '../broker/broker.ts';
import { createLedger } from '../broker/ledger.ts';
import { BoxDoubles } from '../guest/box.double.ts';
import { createGuestClients } from '../guest/clients.ts';
import { Idempotency } from '../idempotency.ts';
import { Seal } from '../keys/sealed.ts';
import { Store } from '../store.ts';
import { read } from './bench.double.ts';
import { createTasks, type TasksService } from './tasks.ts';

const key = 'sk-ant-of-the-host';

/** The real agent server and Claude Code on this machine, as the guest of a double of a box, with the real broker as its way out. */
async function bench() {
  const stack = new AsyncDisposableStack();
  const model = await startScriptedModel();
  stack.defer(() => model.close());
  const folder = await mkdtemp(join(tmpdir(), 'citb-native-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const store = new Store(':memory:');
  const keys = { forBox: () => key, set: () => undefined };
  const ledger = createLedger(store);
  const broker = createBroker({ baseUrl: model.url, keys, ledger, log: createLog('test', 'silent') });
  await broker.open('box', join(folder, 'broker.sock'));
  stack.defer(() => broker.closeAll());
  // What the guest network does: each connection to the broker's address goes to the box's socket.
  const network = createServer((socket) => {
    const out = connect(join(folder, 'broker.sock'));
    for (const each of [socket, out]) each.on('error', () => undefined);
    socket.pipe(out).pipe(socket);
  });
  network.listen(0, '127.0.0.1');
  await once(network, 'listening');
  stack.defer(() => void network.close());
  const agent = stack.use(await NativeAgent.create(`http://127.0.0.1:${(network.address() as AddressInfo).port}`));
  await agent.init();
  const boxes = new BoxDoubles();
  const clients = createGuestClients();
  stack.defer(() => clients.close());
  const start = async () => {
    const box = boxes.start('box', { agent: Number(new URL(agent.url).port) }, agent.token);
    await clients.waitForAgent(box.vm, agent.token, { deadlineMs: 60_000 });
    return box;
  };
  const idempotency = new Idempotency(store, new Seal('ab'.repeat(32)), () => Date.now());
  const create = (): TasksService => createTasks({ store, access: boxes, clients, keys, idempotency });
  const it = { agent, boxes, model, ledger, start, tasks: create(), create, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  stack.defer(() => it.tasks.close());
  await start();
  return it;
}

test(
  'the real agent does a task through the broker, and its stream survives a new daemon and a lost machine',
  { timeout: 180_000 },
  async () => {
    await using it = await bench();
    const program = await it.tasks.start('box', { prompt: 'Create a Python script that prints hello world', files: {}, options: {} });
    const events = await read(it.tasks, program.id, 0, undefined, 120_000);
    assert.equal(completionOf(events).outcome, 'done');
    assert.match(completionOf(events).content, /hello world/);
    assert.deepEqual(
      only(events, 'tool_use').map(({ content }) => content.name),
      ['Write', 'Bash'],
    );
    assert.ok(it.model.requests.length > 0);
    assert.ok(it.model.requests.every(({ apiKey, authorization }) => apiKey === key && authorization === undefined));
    assert.ok(it.ledger.of('box').outputTokens > 0);

    const long = await it.tasks.start('box', { prompt: scenario('long', { words: 5000, ms: 5 }), files: {}, options: {} });
    const seen = await read(it.tasks, long.id, 0, ({ type }) => type === 'text_delta', 120_000);
    await it.tasks.close();
    it.tasks = it.create();
    it.tasks.resume();
    seen.push(...(await read(it.tasks, long.id, seen.at(-1)?.seq, ({ seq }) => seq > 60, 120_000)));
    it.boxes.revive = async () => {
      await it.agent.end('SIGKILL');
      await it.agent.start();
      return it.start();
    };
    it.boxes.lose('box');
    seen.push(...(await read(it.tasks, long.id, seen.at(-1)?.seq, undefined, 120_000)));
    assert.deepEqual(
      seen.map(({ seq }) => seq),
      seen.map((_, index) => index + 1),
    );
    assert.deepEqual(await read(it.tasks, long.id), seen);
    assert.equal(completionOf(seen).outcome, 'interrupted');
    assert.equal(only(seen, 'error')[0]?.content.code, 'agent_restarted');
  },
);
