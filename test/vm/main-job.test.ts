import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { completion, Daemon, lines, patience, text } from './harness.ts';

suite('the main job on real machines, by the requests of the classic API', { timeout: 4 * patience }, () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await Daemon.start();
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  test('a box is made, and asking again for the same user gives the same box', async () => {
    const created = await daemon.create('test-claude-1', 'claude-agent', { ANTHROPIC_API_KEY: 'sk-of-this-box' });
    assert.equal(created.status, 'created');
    assert.match(created.vm_ip, /^127\./);
    assert.doesNotThrow(() => process.kill(created.pid, 0), 'pid is a living process');
    assert.deepEqual(await daemon.create('test-claude-1'), created);
  });

  test('another runtime for the same user is refused in words', async () => {
    const response = await daemon.call('POST', '/create_microvm', { user_id: 'test-claude-1', runtime: 'python' });
    assert.equal(response.status, 409);
    const body = (await response.json()) as { error: { code: string }; detail: string };
    assert.equal(body.error.code, 'runtime_conflict');
    assert.match(body.detail, /claude-agent/);
  });

  test('a task streams what the agent does while it does it, and ends with completion', async () => {
    const response = await daemon.call('POST', '/claude_in_the_box', {
      user_id: 'test-claude-1',
      task: 'Create a Python script that prints hello world',
      files: {},
    });
    assert.equal(response.status, 200);
    assert.match(response.headers.get('x-task-id') ?? '', /^task_/);
    const events = [];
    for await (const event of lines<Parameters<typeof completion>[0][number]>(response)) events.push(event);
    assert.equal(completion(events).outcome, 'done');
    const uses = events.filter((event) => event.type === 'tool_use');
    assert.deepEqual(
      uses.map((event) => event.content.name),
      ['Write', 'Bash'],
    );
    const results = events.filter((event) => event.type === 'tool_result');
    assert.deepEqual(
      results.map((event) => event.content.tool_use_id),
      uses.map((event) => event.content.id),
      'each tool call has its result',
    );
    assert.match(JSON.stringify(results.at(-1)?.content), /hello world/i, 'the program really ran in the box');
    assert.deepEqual(
      events.map((event) => event.seq),
      events.map((_, index) => index + 1),
      'numbered without gap or repeat',
    );
    const deltas = events
      .filter((event) => event.type === 'text_delta')
      .map((event) => event.content)
      .join('');
    assert.equal(
      deltas,
      events
        .filter((event) => event.type === 'text')
        .map((event) => event.content)
        .join(''),
      'deltas add up to the texts',
    );
  });

  test("the box's key reached the model and no key was in the box", async () => {
    assert.ok(daemon.model.requests.length > 0);
    for (const request of daemon.model.requests) assert.equal(request.headers['x-api-key'], 'sk-of-this-box');
    const searched = await daemon.call('POST', '/v1/boxes/' + (await boxId(daemon)) + '/exec', {
      command:
        "sudo sh -c 'cat /proc/*/environ; grep -rl sk-of-[t]his-box /run /var/lib/citb /workspace /home /etc /tmp 2>/dev/null'; true",
    });
    assert.doesNotMatch(await searched.text(), /sk-of-this-box|sk-host-default/);
  });

  test('files come back, a later task sees them and its own files', async () => {
    const download = await daemon.call('GET', '/download_file?user_id=test-claude-1&filename=hello.py');
    assert.equal(download.status, 200);
    assert.match(await download.text(), /print/);
    const events = await daemon.task('test-claude-1', 'Run the hello.py script', {
      'hello.py': 'print("Hello from the second task")',
      'data/in.bin': { base64: 'AAEC/w==' },
    });
    assert.match(JSON.stringify(events.filter((event) => event.type === 'tool_result')), /Hello from the second task/);
    const { files } = await daemon.json<{ files: { path: string; size: number }[] }>('GET', '/list_workspace_files?user_id=test-claude-1');
    assert.deepEqual(
      files.map((file) => file.path),
      ['data/in.bin', 'hello.py'],
    );
    const nested = await daemon.call('GET', '/download_file?user_id=test-claude-1&filename=data/in.bin');
    assert.deepEqual([...new Uint8Array(await nested.arrayBuffer())], [0, 1, 2, 255]);
  });

  test('the conversation goes on over tasks, and context starts another one', async () => {
    const own = await daemon.task('test-claude-1', '[[scenario:recall]] What did I ask before?');
    assert.match(text(own), /Create a Python script that prints hello world/);
    const other = await daemon.task(
      'test-claude-1',
      '[[scenario:recall]] What did I ask before?',
      {},
      {
        context: [
          { role: 'user', content: 'My cat is called Minka.' },
          { role: 'assistant', content: [{ type: 'text', text: 'A fine name.' }] },
        ],
      },
    );
    assert.match(text(other), /Minka/);
    assert.doesNotMatch(text(other), /Create a Python script/);
  });

  test('processes and status tell what runs', async () => {
    const { processes } = await daemon.json<{ processes: { pid: number; user: string; command: string }[] }>(
      'GET',
      '/list_processes?user_id=test-claude-1',
    );
    assert.ok(processes.some((entry) => entry.pid === 1));
    assert.ok(
      processes.some((entry) => entry.user === 'user' && /claude/.test(entry.command)),
      'the agent runs as an ordinary user',
    );
    const status = await daemon.json<{
      host: { accelerator: string; accelerator_reason: string };
      boxes: { user_id: string; state: string; pid: number }[];
    }>('GET', '/status');
    assert.ok(['kvm', 'tcg'].includes(status.host.accelerator));
    assert.ok(status.host.accelerator_reason.length > 0);
    assert.deepEqual(
      status.boxes.map((box) => [box.user_id, box.state]),
      [['test-claude-1', 'running']],
    );
  });

  test('a large file arrives whole, in packets of up to 64 KiB instead of 1500 bytes, and comes back the same', async () => {
    const { boxes } = await daemon.json<{ boxes: { id: string }[] }>('GET', '/v1/boxes');
    const id = boxes[0]?.id ?? '';
    const file = `/v1/boxes/${id}/files/content?path=`;
    const packets = async (): Promise<number> => {
      const command = 'cat /sys/class/net/eth0/statistics/rx_packets > packets';
      await (await daemon.call('POST', `/v1/boxes/${id}/exec`, { command })).text();
      return Number(await (await daemon.call('GET', `${file}packets`)).text());
    };
    const earlier = await packets();
    const content = randomBytes(9_000_001);
    const { status } = await fetch(`${daemon.url}${file}in/large`, { method: 'PUT', headers: { 'X-API-Key': daemon.key }, body: content });
    assert.equal(status, 200);
    const received = (await packets()) - earlier;
    assert.ok(received < content.length / 1500 / 2, `${received} packets for 9 MB`);
    const back = Buffer.from(await (await daemon.call('GET', `${file}in/large`)).arrayBuffer());
    assert.ok(back.equals(content));
  });

  test('health needs no key; the rest refuses without it', async () => {
    assert.equal((await fetch(`${daemon.url}/health`)).status, 200);
    assert.equal((await fetch(`${daemon.url}/status`)).status, 401);
    assert.equal((await fetch(`${daemon.url}/status`, { headers: { 'X-API-Key': 'wrong' } })).status, 401);
  });

  test('a killed box leaves nothing: no process, no file, no row', async () => {
    const { pid } = await daemon.create('test-claude-1');
    await daemon.kill('test-claude-1');
    assert.throws(() => process.kill(pid, 0), 'the machine is gone');
    assert.equal((await daemon.call('GET', '/list_workspace_files?user_id=test-claude-1')).status, 404);
    const status = await daemon.json<{ boxes: unknown[] }>('GET', '/status');
    assert.deepEqual(status.boxes, []);
    const { cleaned } = await daemon.json<{ cleaned: Record<string, unknown[]> }>('POST', '/maintenance');
    assert.deepEqual(Object.values(cleaned).flat(), [], 'nothing was left to clean');
  });
});

async function boxId(daemon: Daemon): Promise<string> {
  const { boxes } = await daemon.json<{ boxes: { id: string }[] }>('GET', '/v1/boxes?user_id=test-claude-1');
  return boxes[0]?.id ?? '';
}
