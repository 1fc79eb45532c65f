import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Server, type Socket, connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import type { TaskEvent } from '@citb/api';
import { type ServicesDouble, type StartedServer, createServicesDouble, startServer } from '@citb/testkit/services/index.ts';
import { ApiError, type Box, Citb, ConnectionError } from './index.ts';

const apiKey = 'key-of-the-sdk-tests';
let services: ServicesDouble;
let server: StartedServer;
let citb: Citb;

before(async () => {
  services = await createServicesDouble();
  server = await startServer(services, { apiKey });
  citb = new Citb({ url: server.url, apiKey });
});

after(async () => {
  await citb[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

suite('boxes', () => {
  test('a box lives in its scope and is gone after it', async () => {
    let id: string;
    {
      await using box = await citb.boxes.create({ userId: 'scope', runtime: 'python', labels: { team: 'data' } });
      id = box.id;
      assert.equal((await citb.boxes.get(id)).info.runtime, 'python');
      assert.equal((await citb.boxes.byUser('scope'))?.id, id);
    }
    await assert.rejects(citb.boxes.get(id), { name: 'ApiError', code: 'box_not_found' });
  });

  test('the list goes over pages and takes labels', async () => {
    const made = await Promise.all([1, 2, 3].map((n) => citb.boxes.create({ labels: { page: 'yes', n: String(n) } })));
    const found: string[] = [];
    for await (const box of citb.boxes.list({ labels: { page: 'yes' } })) found.push(box.id);
    assert.deepEqual(found.toSorted(), made.map((box) => box.id).toSorted());
    await Promise.all(made.map((box) => box.kill()));
  });

  test('an error carries code, hint and request id', async () => {
    const error = await citb.boxes.create({ runtime: 'cobol' }).catch((cause: unknown) => cause);
    assert.ok(error instanceof ApiError);
    assert.equal(error.code, 'unknown_runtime');
    assert.match(error.hint, /claude-agent/);
    assert.match(error.requestId ?? '', /^req_/);
  });

  test('a wrong key, no host, and something else at the port are told apart', async () => {
    await using stranger = new Citb({ url: server.url, apiKey: 'wrong' });
    await assert.rejects(stranger.status(), { code: 'unauthorized' });

    const other = createServer((socket) => void socket.resume().end('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno')).listen(
      0,
      '127.0.0.1',
    );
    await once(other, 'listening');
    await using wrong = new Citb({ url: addressOf(other), apiKey });
    await assert.rejects(wrong.status(), { name: 'ConnectionError', kind: 'protocol' });
    await new Promise((resolve) => other.close(resolve));
    await assert.rejects(wrong.status(), { name: 'ConnectionError', kind: 'unreachable' });
  });
});

suite('tasks', () => {
  let box: Box;
  before(async () => (box = await citb.boxes.create({ userId: 'tasks' })));
  after(() => box.kill());

  test('a task streams its events and has a result', async () => {
    const task = await box.run('Write hello.py', { files: { 'in/data.bin': new Uint8Array([0, 255]) } });
    const types: string[] = [];
    for await (const event of task.events()) types.push(event.type);
    assert.deepEqual([types.at(0), types.at(-1)], ['status', 'completion']);
    const { usage, ...result } = await task.result();
    assert.deepEqual(result, { outcome: 'done', text: 'hello.py is written.', stopReason: 'end_turn' });
    assert.equal(usage?.input_tokens, 100);
    assert.equal(await box.files.read('hello.py'), 'print("Hello World")\n');
    assert.equal((await box.files.list('in')).entries[0]?.size, 2);
  });

  test('a question is answered and the task goes on', async () => {
    const task = await box.run('Please ask me');
    const said: string[] = [];
    for await (const event of task.events()) {
      if (event.type === 'question') await task.answer(event.content.question_id, { 'Which greeting?': 'Hi' });
      if (event.type === 'text') said.push(event.content);
    }
    assert.ok(said.includes('You chose Hi.'));
  });

  test('cancel interrupts', async () => {
    const task = await box.run('Please ask me');
    for await (const event of task.events()) if (event.type === 'question') await task.cancel();
    assert.equal((await task.result()).outcome, 'interrupted');
  });

  test('the same idempotency key is the same task', async () => {
    const [one, two] = [await box.run('once', { idempotencyKey: 'k1' }), await box.run('once', { idempotencyKey: 'k1' })];
    assert.equal(one.id, two.id);
  });

  test('events over a connection that breaks again and again: nothing is lost, nothing comes twice', async () => {
    const count = 400;
    const script = services.tasks.script;
    services.tasks.script = async function* () {
      for (let n = 1; n < count; n++) yield { type: 'text_delta', content: `${n} `, index: 0 };
      yield { type: 'completion', content: 'counted', outcome: 'done', stop_reason: null };
    };
    await using proxy = await cuttingProxy(server.url, 4000);
    await using through = new Citb({ url: proxy.url, apiKey });
    const { id } = await box.run('count');
    const events: TaskEvent[] = [];
    let reconnections = 0;
    for await (const event of (await through.boxes.get(box.id)).task(id).events({ onReconnect: () => (reconnections += 1) }))
      events.push(event);
    services.tasks.script = script;
    assert.deepEqual(
      events.map((event) => event.seq),
      Array.from({ length: count }, (_, index) => index + 1),
    );
    assert.ok(reconnections > 3, `the proxy cut ${reconnections} times`);
  });

  test('a host that stays away ends the stream with a ConnectionError', async () => {
    const proxy = await cuttingProxy(server.url, Number.POSITIVE_INFINITY);
    await using through = new Citb({ url: proxy.url, apiKey });
    const task = await box.run('Please ask me');
    const same = (await through.boxes.get(box.id)).task(task.id);
    await assert.rejects(async () => {
      for await (const event of same.events({ reconnectMs: 200 })) if (event.type === 'question') await proxy[Symbol.asyncDispose]();
    }, ConnectionError);
    await task.cancel();
  });

  test('an aborted stream throws what aborted it', async () => {
    const task = await box.run('Please ask me');
    const stop = new AbortController();
    const reason = new Error('enough');
    await assert.rejects(async () => {
      for await (const event of task.events({ signal: stop.signal })) if (event.type === 'question') stop.abort(reason);
    }, reason);
    await task.cancel();
  });
});

suite('files', () => {
  let box: Box;
  before(async () => (box = await citb.boxes.create({ runtime: 'bash' })));
  after(() => box.kill());

  test('write, read, list, move, remove', async () => {
    await box.files.write('a/b.txt', 'Grüße', { mode: '600' });
    assert.equal(await box.files.read('a/b.txt'), 'Grüße');
    const { entries } = await box.files.list();
    assert.deepEqual(
      entries.map((entry) => entry.path),
      ['a', 'a/b.txt'],
    );
    await box.files.move('a/b.txt', 'c.txt');
    await assert.rejects(box.files.read('a/b.txt'), { code: 'file_not_found' });
    await box.files.makeFolder('x/y');
    await assert.rejects(box.files.remove('x'), { code: 'folder_not_empty' });
    await box.files.remove('x', { recursive: true });
    await assert.rejects(box.files.write('../out', ''), { code: 'invalid_path' });
  });

  test('streams up and down, and ranges', async () => {
    const mebibyte = Buffer.alloc(1024 * 1024, 'x');
    await box.files.upload('big', Readable.from([mebibyte, mebibyte]));
    const { size, body } = await box.files.download('big', { range: 'bytes=10-19' });
    assert.equal(size, 10);
    assert.equal(await text(body), 'x'.repeat(10));
  });
});

suite('commands', () => {
  let box: Box;
  before(async () => (box = await citb.boxes.create({ runtime: 'bash' })));
  after(() => box.kill());

  test('exec has output and exit code', async () => {
    const result = await box.exec('echo out; echo err >&2; cat; exit 3', { stdin: 'in' });
    assert.deepEqual(result, { exitCode: 3, signal: null, timedOut: false, stdout: 'out\nin', stderr: 'err\n' });
  });

  test('stdin of a running command is written in pieces', async () => {
    let out = '';
    for await (const output of box.processes.stream(['sort'], { keepStdin: true })) {
      if (output.type === 'start') {
        await box.processes.write(output.pid, 'b\n');
        await box.processes.write(output.pid, 'a\n', { close: true });
      }
      if (output.type === 'stdout') out += output.data.toString();
    }
    assert.equal(out, 'a\nb\n');
  });

  test('a background command goes on and can be read later', async () => {
    const { pid } = await box.processes.start('echo started; sleep 0.1; echo ended');
    let out = '';
    for await (const output of box.processes.output(pid)) if (output.type === 'stdout') out += output.data.toString();
    assert.equal(out, 'started\nended\n');
    await assert.rejects(box.processes.kill(1_999_999), { code: 'process_not_found' });
  });

  test('a terminal takes what is typed, and ends with the exit code', async () => {
    await using terminal = await box.terminal({ cols: 100, rows: 30 });
    terminal.resize(90, 20);
    terminal.write('echo $((40 + 2)); exit 7\n');
    assert.match(await text(terminal.output), /42/);
    assert.equal(await terminal.exitCode, 7);
  });

  test('a terminal whose connection breaks joins the same program again', async () => {
    await using proxy = await cuttingProxy(server.url, Number.POSITIVE_INFINITY);
    await using through = new Citb({ url: proxy.url, apiKey });
    const states: string[] = [];
    const back = Promise.withResolvers<void>();
    const onConnection = (state: string): void => {
      states.push(state);
      if (state === 'back') back.resolve();
    };
    await using terminal = await (await through.boxes.get(box.id)).terminal({ onConnection });
    const { pid, output } = terminal;
    terminal.write('before=yes; echo ready\n');
    let printed = '';
    output.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    while (!printed.includes('ready')) await once(output, 'data');
    proxy.cut();
    await back.promise;
    terminal.write('echo "before: $before"; exit\n');
    await once(output, 'end');
    assert.match(printed, /before: yes/);
    assert.deepEqual([terminal.pid, states], [pid, ['broken', 'back']]);
  });
});

interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** Ends all connections; new ones are taken. */
  cut(): void;
}

/** Passes connections on and cuts each after so many bytes of the answer. */
async function cuttingProxy(target: string, bytes: number): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  const proxy = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    open.add(client);
    let passed = 0;
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      open.delete(client);
    };
    client.on('error', end).on('close', end).pipe(upstream);
    upstream
      .on('error', end)
      .on('close', end)
      .on('data', (chunk: Buffer) => {
        const rest = chunk.subarray(0, Math.max(0, bytes - passed));
        passed += chunk.byteLength;
        client.write(rest, () => passed > bytes && end());
      });
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const cut = (): void => open.forEach((socket) => socket.destroy());
  return {
    url: addressOf(proxy),
    cut,
    [Symbol.asyncDispose]: async () => {
      if (!proxy.listening) return;
      const closed = once(proxy, 'close');
      proxy.close();
      cut();
      await closed;
    },
  };
}

function addressOf(listening: Server): string {
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
}
