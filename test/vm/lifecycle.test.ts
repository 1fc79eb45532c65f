import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { BoxEvent, TaskEvent } from '@citb/api';
import { type Box, Citb, type Terminal } from '@citb/sdk';
import { completion, Daemon, lines, patience, text, until } from './harness.ts';

/** How often a box is paused and woken; a hundred in the chaos suite. */
const rounds = Number(process.env['CITB_ROUNDS'] ?? 5);

suite('a box that sleeps loses nothing', { timeout: (4 + rounds) * patience }, () => {
  let daemon: Daemon;
  let citb: Citb;
  let box: Box;

  before(async () => {
    daemon = await Daemon.start({ CITB_ON_SIGTERM: 'pause' });
    citb = new Citb({ url: daemon.url, apiKey: daemon.key });
    box = await citb.boxes.create({ userId: 'ada' });
  });
  after(async () => {
    await citb[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
  });

  const path = (): string => `/v1/boxes/${box.id}`;
  const shell = async (command: string): Promise<string> => (await box.exec(command)).stdout.trim();
  const bootId = (): Promise<string> => shell('cat /proc/sys/kernel/random/boot_id');

  /** What has happened to the box so far: the stream is left when nothing comes for a second. */
  async function events(): Promise<BoxEvent[]> {
    const left = new AbortController();
    const found: BoxEvent[] = [];
    const quiet = setTimeout(() => left.abort(), 1000);
    try {
      for await (const event of box.events({ signal: left.signal })) {
        found.push(event);
        quiet.refresh();
      }
    } catch (error) {
      if (!left.signal.aborted) throw error;
    }
    return found;
  }

  test(`${rounds} times paused and woken: files, a process with its memory, a terminal's program, the conversation, the clock`, async () => {
    await daemon.task('ada', 'Create a Python script that prints hello world');
    const boot = await bootId();
    const address = box.info.vm_ip;
    // Lines are added, each by one write: a file that is written anew is empty for a moment.
    const counter = 'i=0; while sleep 0.1; do i=$((i+1)); echo $i >> /dev/shm/counter; done';
    const counted = async (): Promise<number> => Number(await shell('tail -n 1 /dev/shm/counter'));
    const { pid: counting } = await daemon.json<{ pid: number }>('POST', `${path()}/exec`, { command: counter, background: true });
    const terminal = await box.terminal();
    await typed(terminal, 'MARK=only-in-memory; echo "set $((40+2))"', 'set 42');
    const { pid: shellPid } = terminal;
    await terminal[Symbol.asyncDispose]();
    let count = 0;
    for (let round = 1; round <= rounds; round += 1) {
      await daemon.call('PUT', `${path()}/files/content?path=round-${round}.txt`, { round });
      const asked = performance.now();
      const paused = await box.pause();
      const between = performance.now();
      assert.deepEqual([paused.state, paused.pid, paused.vm_ip], ['paused', null, address]);
      assert.equal((await daemon.json<{ boxes: { pid: number | null }[] }>('GET', '/status')).boxes[0]?.pid, null);
      const started = performance.now();
      const resumed = await box.resume();
      const end = performance.now();
      process.stdout.write(`# round ${round}: pause ${Math.round(between - asked)} ms, wake ${Math.round(end - started)} ms\n`);
      assert.equal(resumed.state, 'running');
      assert.equal(await bootId(), boot, 'it was not booted');
      const skew = Math.abs(Number(await shell('date +%s%3N')) - Date.now());
      assert.ok(skew < 5000, `the clock is right, not ${skew} ms off`);
      const now = await counted();
      assert.ok(now >= count, 'what was in memory only is there');
      await until('the process works on', async () => (await counted()) > now);
      count = now;
      assert.equal(await shell(`kill -0 ${counting} && ls round-*.txt | wc -l`), String(round));
    }
    const joined = await box.terminal({ pid: shellPid });
    await typed(joined, 'echo "mark: $MARK"', 'mark: only-in-memory');
    await joined[Symbol.asyncDispose]();
    assert.match(text(await daemon.task('ada', '[[scenario:recall]] What did I ask?')), /Create a Python script that prints hello world/);
    await shell(`kill ${counting}`);
  });

  test('a task that runs when its box is paused goes on after the wake; its stream waits', async () => {
    const response = await daemon.call('POST', '/claude_in_the_box', {
      user_id: 'ada',
      task: '[[scenario:long words=40 ms=250]] Tell a long story',
      files: {},
    });
    const seen: TaskEvent[] = [];
    let woken: Promise<unknown> | undefined;
    for await (const event of lines<TaskEvent>(response)) {
      seen.push(event);
      if (woken === undefined && seen.filter((one) => one.type === 'text_delta').length === 5) {
        assert.equal((await box.pause()).state, 'paused');
        await new Promise((resolve) => setTimeout(resolve, 3000));
        assert.equal((await box.refresh()).state, 'paused', 'a task does not wake what its owner paused');
        woken = box.resume();
      }
    }
    assert.deepEqual(
      seen.map((event) => event.seq),
      seen.map((_, index) => index + 1),
    );
    assert.equal(completion(seen).outcome, 'done');
    await woken;
  });

  test('an idle box is paused by itself; looking at it does not wake it, requests at once wake it once', async () => {
    await box.update({ idleS: 3 });
    await until('it is paused', async () => (await box.refresh()).state === 'paused');
    await daemon.json('GET', '/status');
    const seen = await events();
    assert.deepEqual(
      seen.slice(-2).map(({ type }) => type),
      ['idle_warning', 'paused'],
    );
    assert.equal((await box.refresh()).state, 'paused');
    await box.update({ idleS: 0 });
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => daemon.call('GET', '/download_file?user_id=ada&filename=hello.py').then((one) => one.status)),
    );
    assert.deepEqual(new Set(answers), new Set([200]));
    assert.equal(
      (await events()).filter(({ type }) => type === 'running').length,
      seen.filter(({ type }) => type === 'running').length + 1,
    );
  });

  test('work keeps it awake: a silent command, a process in the background that computes', async () => {
    await box.update({ idleS: 3 });
    const boot = await bootId();
    assert.equal(await shell('sleep 12; echo awake'), 'awake');
    const { pid } = await daemon.json<{ pid: number }>('POST', `${path()}/exec`, {
      command: 'while :; do :; done',
      background: true,
    });
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    assert.equal((await box.refresh()).state, 'running');
    await shell(`kill ${pid}`);
    await until('it rests', async () => (await box.refresh()).state === 'paused');
    await box.update({ idleS: 0 });
    assert.equal(await bootId(), boot);
  });

  test('memory that is damaged: the box boots from its disk, with its files, and says so', async () => {
    const boot = await bootId();
    await box.pause();
    await truncate(join(daemon.dataDir, 'boxes', box.id, 'pause', 'pages'), 4096);
    assert.equal((await daemon.call('GET', '/download_file?user_id=ada&filename=hello.py')).status, 200);
    assert.notEqual(await bootId(), boot);
    assert.deepEqual(
      (await events()).slice(-3).map(({ type, content }) => [type, content['how']]),
      [
        ['paused', undefined],
        ['wake_failed', undefined],
        ['running', 'boot'],
      ],
    );
  });

  test('stop shuts it down, the next request boots it', async () => {
    await shell('echo unsynced > late.txt');
    const boot = await bootId();
    const started = performance.now();
    assert.equal((await box.stop()).state, 'stopped');
    process.stdout.write(`# stop ${Math.round(performance.now() - started)} ms\n`);
    assert.equal(await shell('cat late.txt'), 'unsynced');
    assert.notEqual(await bootId(), boot);
  });

  test('SIGTERM with CITB_ON_SIGTERM=pause: boxes are there afterwards, paused, as they were', async () => {
    const boot = await bootId();
    await shell('echo in-memory > /dev/shm/mark');
    const { pid } = await box.refresh();
    // As when a process group is ended: it reaches the daemon more than once.
    process.kill(daemon.pid, 'SIGINT');
    assert.equal(await daemon.end('SIGTERM'), 0);
    assert.throws(() => process.kill(pid ?? 0, 0));
    await daemon.launch();
    await citb[Symbol.asyncDispose]();
    citb = new Citb({ url: daemon.url, apiKey: daemon.key });
    box = await citb.boxes.get(box.id);
    assert.equal(box.info.state, 'paused');
    assert.equal(await shell('cat /dev/shm/mark'), 'in-memory');
    assert.equal(await bootId(), boot);
  });
});

/** Types a line into a terminal and waits for what it answers. */
async function typed(terminal: Terminal, line: string, answer: string): Promise<void> {
  terminal.write(`${line}\n`);
  let seen = '';
  for await (const chunk of terminal.output) {
    seen += Buffer.from(chunk).toString('utf8');
    if (seen.includes(answer)) return;
  }
  throw new Error(`the terminal ended: ${seen}`);
}
