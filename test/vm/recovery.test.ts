import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TaskEvent } from '@citb/api';
import { cpuTime } from '@citb/host/boxes/cpu-time.ts';
import { commandLines } from '@citb/host/vmm/process.ts';
import { readArguments } from '@citb/host/vmm/qemu/command-line.ts';
import { Citb } from '@citb/sdk';
import { completion, Daemon, lines, patience, text, until } from './harness.ts';

suite('what is acknowledged is never lost, whatever is killed', { timeout: 6 * patience }, () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await Daemon.start();
    await daemon.create('ada');
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  test('a daemon killed with -9 in the middle of a task finds its box again and the stream goes on by `after`', async () => {
    const first = await daemon.json<{ boxes: { pid: number; id: string }[] }>('GET', '/status');
    const box = first.boxes[0];
    assert.ok(box);
    const response = await daemon.call('POST', '/claude_in_the_box', {
      user_id: 'ada',
      task: '[[scenario:long words=40 ms=250]] Tell a long story',
      files: {},
    });
    const taskId = response.headers.get('x-task-id') ?? '';
    const seen: TaskEvent[] = [];
    await assert.rejects(async () => {
      for await (const event of lines<TaskEvent>(response)) {
        seen.push(event);
        if (seen.filter((one) => one.type === 'text_delta').length === 5) await daemon.end('SIGKILL');
      }
      if (seen.at(-1)?.type !== 'completion') throw new Error('cut');
    });
    await daemon.launch();
    const rest = await daemon.call('GET', `/v1/boxes/${box.id}/tasks/${taskId}/events?after=${seen.at(-1)?.seq ?? 0}`);
    const later: TaskEvent[] = [];
    for await (const event of lines<TaskEvent>(rest)) later.push(event);
    const all = [...seen, ...later];
    assert.deepEqual(
      all.map((event) => event.seq),
      all.map((_, index) => index + 1),
      'no gap, nothing twice',
    );
    assert.equal(completion(all).outcome, 'done');
    // The daemon's broker carried the model's answer, so Claude asked again: deltas before that are void, as `retrying` says.
    const retried = all.findLastIndex((event) => event.type === 'status' && event.content.status === 'retrying');
    const deltas = all
      .slice(retried + 1)
      .filter((event) => event.type === 'text_delta')
      .map((event) => event.content)
      .join('');
    assert.equal(deltas, text(all), 'every delta arrived once');
    const found = await daemon.json<{ boxes: { pid: number }[] }>('GET', '/status');
    assert.equal(found.boxes[0]?.pid, box.pid, 'the same machine went on running');
    const replay: TaskEvent[] = [];
    for await (const event of lines<TaskEvent>(await daemon.call('GET', `/v1/boxes/${box.id}/tasks/${taskId}/events`))) replay.push(event);
    assert.deepEqual(replay, all, 'a finished task can be replayed');
  });

  test('a daemon killed with -9 at any moment of a wake: the box goes on with its memory', async () => {
    const id = await boxId(daemon);
    const bootId = async (): Promise<string> => {
      await using citb = new Citb({ url: daemon.url, apiKey: daemon.key });
      return (await (await citb.boxes.get(id)).exec('cat /proc/sys/kernel/random/boot_id')).stdout;
    };
    const booted = await bootId();
    // A wake takes 300-400 ms; none of these moments is one at which memory may be lost.
    for (const ms of [50, 150, 200, 250, 300, 400]) {
      await daemon.json('POST', `/v1/boxes/${id}/pause`);
      const woken = daemon.call('POST', `/v1/boxes/${id}/resume`).catch(() => undefined);
      await sleep(ms);
      await daemon.end('SIGKILL');
      await woken;
      await daemon.launch();
      assert.equal(await bootId(), booted, `killed after ${ms} ms`);
    }
  });

  test('a killed machine comes back with files and conversation on the next request', async () => {
    await daemon.task('ada', 'Create a Python script that prints hello world');
    const { pid } = await daemon.create('ada');
    const id = await boxId(daemon);
    const exec = await daemon.call('POST', `/v1/boxes/${id}/exec`, { command: 'mkdir -p made && echo by hand > made/command.txt' });
    assert.match(await exec.text(), /"exit_code":0/);
    assert.equal((await daemon.call('POST', `/v1/boxes/${id}/files/move`, { from: 'made', to: 'moved' })).status, 200);
    process.kill(pid, 'SIGKILL');
    const moved = await daemon.call('GET', '/download_file?user_id=ada&filename=moved/command.txt');
    assert.equal(await moved.text(), 'by hand\n', 'what an ended command wrote, and where it was moved to');
    const download = await daemon.call('GET', '/download_file?user_id=ada&filename=hello.py');
    assert.equal(download.status, 200);
    assert.match(await download.text(), /print/);
    const created = await daemon.create('ada');
    assert.notEqual(created.pid, pid);
    assert.match(text(await daemon.task('ada', '[[scenario:recall]] What did I ask?')), /Create a Python script that prints hello world/);
  });

  test('a machine that stands still while it boots is ended, and another one boots', async () => {
    const path = `/v1/boxes/${await boxId(daemon)}`;
    await daemon.json('POST', `${path}/stop`);
    const started = daemon.json<{ state: string; pid: number }>('POST', `${path}/resume`);
    const hanging = await until('its kernel runs', async () => {
      for await (const { identity, args } of commandLines())
        if (readArguments(args)?.folder.startsWith(daemon.dataDir) === true && (cpuTime(identity) ?? 0) > 1000) return identity.pid;
      return undefined;
    });
    process.kill(hanging, 'SIGSTOP');
    const { state, pid } = await started;
    assert.equal(state, 'running');
    assert.notEqual(pid, hanging);
    assert.throws(() => process.kill(hanging, 0), 'it is gone');
    const log = await (await daemon.call('GET', `${path}/logs`, undefined, { Accept: 'text/plain' })).text();
    assert.match(log, /The machine hangs: it has rested for 15 s/);
  });

  test('a machine killed in the middle of a task: the stream still ends with completion and the next task runs', async () => {
    const { pid } = await daemon.create('ada');
    const response = await daemon.call('POST', '/claude_in_the_box', {
      user_id: 'ada',
      task: '[[scenario:long words=400 ms=250]] A very long story',
      files: {},
    });
    const events: TaskEvent[] = [];
    for await (const event of lines<TaskEvent>(response)) {
      events.push(event);
      if (event.type === 'text_delta' && events.filter((one) => one.type === 'text_delta').length === 3) process.kill(pid, 'SIGKILL');
    }
    assert.equal(completion(events).outcome, 'interrupted');
    assert.deepEqual(
      events.map((event) => event.seq),
      events.map((_, index) => index + 1),
    );
    assert.equal(completion(await daemon.task('ada', 'Create a Python script that prints hello world')).outcome, 'done');
  });

  test('a machine killed right after a task has begun: its files are whole or not there', async () => {
    const { pid } = await daemon.create('ada');
    const path = `/v1/boxes/${await boxId(daemon)}`;
    const content = `${path}/files/content?path=given.txt`;
    const prompt = '[[scenario:long words=400 ms=250]] A very long story';
    const { id } = await daemon.json<{ id: string }>('POST', `${path}/tasks`, { prompt, files: { 'given.txt': 'given' } });
    await until('the file is there', async () => (await daemon.call('HEAD', content)).status === 200);
    // The file system commits the names of all files with that of another, also of those whose bytes it has not written yet.
    assert.equal((await daemon.call('PUT', `${path}/files/content?path=other.txt`, 'other')).status, 200);
    process.kill(pid, 'SIGKILL');
    const given = await daemon.call('GET', content);
    if (given.status !== 404) assert.equal(await given.text(), 'given');
    const events = await Array.fromAsync(lines<TaskEvent>(await daemon.call('GET', `${path}/tasks/${id}/events`)));
    assert.equal(completion(events).outcome, 'interrupted');
  });

  test('a killed agent server and a killed Claude Code come back, their children do not', async () => {
    const id = await boxId(daemon);
    const response = await daemon.call('POST', '/claude_in_the_box', {
      user_id: 'ada',
      task: '[[scenario:bash command="tail -s 7777 -f /dev/null"]] Wait',
      files: {},
    });
    const sleeping = async (): Promise<boolean> =>
      (await daemon.json<{ processes: { command: string }[] }>('GET', '/list_processes?user_id=ada')).processes.some((entry) =>
        entry.command.includes('7777'),
      );
    await until('the command of the agent runs', sleeping);
    const killed = await daemon.call('POST', `/v1/boxes/${id}/exec`, { command: 'sudo pkill -9 -f /opt/citb/agent' });
    assert.equal(killed.status, 200);
    await killed.text();
    const events: TaskEvent[] = [];
    for await (const event of lines<TaskEvent>(response)) events.push(event);
    assert.equal(completion(events).outcome, 'interrupted');
    await until('the children of the killed agent are gone', async () => !(await sleeping()));
    assert.match(text(await daemon.task('ada', '[[scenario:recall]] What did I ask?')), /Create a Python script/);
  });

  test('an envd killed in the middle of a large upload: the caller hears of it, nothing of the file is left, the next one is stored', async () => {
    const id = await boxId(daemon);
    const content = randomBytes(8 * 1024 * 1024);
    const upload = (): { call: ClientRequest; answer: Promise<IncomingMessage> } => {
      const headers = { 'X-API-Key': daemon.key, 'Content-Length': content.length };
      const call = request(`${daemon.url}/v1/boxes/${id}/files/content?path=large`, { method: 'PUT', headers });
      return { call, answer: once(call, 'response').then(([response]) => response as IncomingMessage) };
    };
    const inBox = async (command: string): Promise<string> => {
      await using citb = new Citb({ url: daemon.url, apiKey: daemon.key });
      return (await (await citb.boxes.get(id)).exec(command)).stdout;
    };
    const { call, answer } = upload();
    call.write(content.subarray(0, content.length / 2));
    await until('the guest takes the upload', async () => (await inBox('pgrep -x receive || true')) !== '');
    await (await daemon.call('POST', `/v1/boxes/${id}/exec`, { command: 'sudo pkill -9 -f /opt/citb/envd' })).text();
    const broken = await answer;
    call.destroy();
    assert.equal(broken.statusCode, 503);
    await until('the next envd answers', async () => (await inBox('echo here').catch(() => '')) === 'here\n');
    assert.equal(await inBox('pgrep -x receive || true'), '');
    const { entries } = await daemon.json<{ entries: { path: string }[] }>('GET', `/v1/boxes/${id}/files`);
    assert.ok(!entries.some(({ path }) => path.includes('large')));
    assert.doesNotMatch(await inBox('ls -A'), /citb-part/);

    const again = upload();
    again.call.end(content);
    assert.equal((await again.answer).statusCode, 200);
    assert.equal((await inBox('sha256sum < large')).split(' ')[0], createHash('sha256').update(content).digest('hex'));
  });

  test('SIGTERM: the daemon ends with 0, boxes go on and are found again', async () => {
    const { pid } = await daemon.create('ada');
    assert.equal(await daemon.end('SIGTERM'), 0);
    assert.doesNotThrow(() => process.kill(pid, 0));
    await daemon.launch();
    assert.equal((await daemon.create('ada')).pid, pid);
  });
});

async function boxId(daemon: Daemon): Promise<string> {
  const { boxes } = await daemon.json<{ boxes: { id: string }[] }>('GET', '/v1/boxes');
  return boxes[0]?.id ?? '';
}
