import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type ExecEvent } from '@citb/api';
import { BoxDoubles } from '../guest/box.double.ts';
import { createGuestClients } from '../guest/clients.ts';
import type { NewProcess } from '../services.ts';
import { EnvdDouble } from './envd.double.ts';
import { createProcesses } from './processes.ts';

const never = new AbortController().signal;

async function bench() {
  const stack = new AsyncDisposableStack();
  const envd = stack.use(new EnvdDouble());
  const boxes = new BoxDoubles();
  const clients = createGuestClients();
  stack.defer(() => clients.close());
  boxes.start('box', { envd: await envd.listen() }, 't'.repeat(32));
  return { envd, boxes, processes: createProcesses({ access: boxes, clients }), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function command(given: Partial<NewProcess> & Pick<NewProcess, 'command'>): NewProcess {
  return { env: {}, keepStdin: false, ...given };
}

async function all(events: AsyncIterable<ExecEvent>): Promise<ExecEvent[]> {
  const found: ExecEvent[] = [];
  for await (const event of events) if (event.type !== 'heartbeat') found.push(event);
  return found;
}

function outputOf(events: readonly ExecEvent[], type: 'stdout' | 'stderr' = 'stdout'): string {
  return events.map((event) => (event.type === type ? event.data : '')).join('');
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < end, 'did not come true');
    await sleep(5);
  }
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === expected;
}

test('a command runs in a shell: start, output of both kinds, exit', async () => {
  await using it = await bench();
  const events = await all(
    it.processes.exec('box', command({ command: 'echo "$WHAT ü"; echo no >&2; exit 3', env: { WHAT: 'yes' } }), never),
  );
  assert.equal(events[0]?.type, 'start');
  assert.equal(outputOf(events), 'yes ü\n');
  assert.equal(outputOf(events, 'stderr'), 'no\n');
  assert.deepEqual(events.at(-1), { type: 'exit', exit_code: 3, signal: null, timed_out: false, error: null });
  assert.deepEqual(it.envd.users, ['user:']);
});

test('a list is a program with arguments, not a line for the shell; the user is passed on', async () => {
  await using it = await bench();
  const events = await all(it.processes.exec('box', command({ command: ['echo', '$HOME; id'], user: 'root' }), never));
  assert.equal(outputOf(events), '$HOME; id\n');
  assert.deepEqual(it.envd.users, ['root:']);
  await assert.rejects(all(it.processes.exec('box', command({ command: ['/no/such/program'] }), never)), code('invalid_request'));
});

test('stdin is written and closed, also when it is larger than a pipe', async () => {
  await using it = await bench();
  const events = await all(it.processes.exec('box', command({ command: 'wc -c', stdin: Buffer.alloc(1_000_000) }), never));
  assert.equal(outputOf(events).trim(), '1000000');
  const deaf = await all(it.processes.exec('box', command({ command: 'true', stdin: Buffer.alloc(1_000_000) }), never));
  assert.equal(deaf.at(-1)?.type, 'exit');
});

test('a process that takes too long is killed, and says so', async () => {
  await using it = await bench();
  const events = await all(it.processes.exec('box', command({ command: ['sleep', '1000'], timeoutS: 0.2 }), never));
  assert.deepEqual(events.at(-1), { type: 'exit', exit_code: null, signal: 'SIGKILL', timed_out: true, error: null });
});

test('a foreground process ends with its caller: by the signal, or by no longer reading', async () => {
  await using it = await bench();
  const abort = new AbortController();
  const running = all(it.processes.exec('box', command({ command: ['sleep', '1000'] }), abort.signal));
  await until(() => it.envd.children.size === 1);
  abort.abort();
  await running;
  for await (const event of it.processes.exec('box', command({ command: ['sleep', '1000'] }), never)) if (event.type === 'start') break;
  await until(() => [...it.envd.children.values()].every((child) => child.signalCode === 'SIGKILL'));
  assert.equal(it.envd.children.size, 2);
});

test('a background process goes on alone, takes input, can be read and ended', async () => {
  await using it = await bench();
  const { pid } = await it.processes.spawn('box', command({ command: ['cat'], keepStdin: true }));
  const reading = all(it.processes.output('box', pid, never));
  await sleep(50);
  await it.processes.input('box', pid, Buffer.from('hello'), false);
  await it.processes.input('box', pid, undefined, true);
  const events = await reading;
  assert.deepEqual(events[0], { type: 'start', pid });
  assert.equal(outputOf(events), 'hello');
  assert.equal(events.at(-1)?.type, 'exit');
  await assert.rejects(it.processes.input('box', pid, Buffer.from('x'), false), code('process_not_found'));
  await assert.rejects(it.processes.signal('box', pid, 'SIGTERM'), code('process_not_found'));
  await assert.rejects(all(it.processes.output('box', 1, never)), code('process_not_found'));
  const second = await it.processes.spawn('box', command({ command: ['sleep', '1000'] }));
  await it.processes.signal('box', second.pid, 'SIGTERM');
  await until(() => it.envd.children.get(second.pid)?.signalCode === 'SIGTERM');
});

test('a terminal takes keys, gives bytes and its exit; a late key is no failure', async () => {
  await using it = await bench();
  const terminal = await it.processes.terminal('box', { cols: 80, rows: 24 }, never);
  await terminal.resize(100, 30);
  await terminal.write(Buffer.from('echo from the terminal; exit 7\n'));
  const chunks: Uint8Array[] = [];
  for await (const chunk of terminal.output) chunks.push(chunk);
  assert.match(Buffer.concat(chunks).toString(), /from the terminal/);
  assert.equal(await terminal.exitCode, 7);
  await terminal.write(Buffer.from('late'));
});

test('a box that is put to sleep ends streams in words: the command goes on with it', async () => {
  for (const [asleep, expected] of [
    ['paused', 'box_paused'],
    ['stopped', 'box_stopped'],
    [undefined, 'box_unreachable'],
  ] as const) {
    await using it = await bench();
    const terminal = await it.processes.terminal('box', { cols: 80, rows: 24 }, never);
    const running = it.processes.exec('box', command({ command: ['sleep', '1000'] }), never)[Symbol.asyncIterator]();
    const start = (await running.next()).value as ExecEvent & { pid: number };
    const output = it.processes.output('box', start.pid, never)[Symbol.asyncIterator]();
    await output.next();
    const printed = terminal.output[Symbol.asyncIterator]().next();
    const streams = [running.next(), output.next(), printed].map((each) => assert.rejects(each, code(expected)));
    it.boxes.lose('box', asleep);
    await Promise.all(streams);
    await assert.rejects(terminal.write(Buffer.from('x')), code(expected));
    assert.equal(it.envd.children.get(start.pid)?.signalCode, null);
  }
});

test('a guest that ends the stream without an exit is a box that does not answer, and the process is not left behind', async () => {
  await using it = await bench();
  it.envd.endless = true;
  await assert.rejects(all(it.processes.exec('box', command({ command: ['sleep', '1000'] }), never)), code('box_unreachable'));
  await until(() => [...it.envd.children.values()].every((child) => child.signalCode === 'SIGKILL'));
});
