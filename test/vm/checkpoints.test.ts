import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import type { Checkpoint, TaskEvent } from '@citb/api';
import { type Box, Citb } from '@citb/sdk';
import { completion, Daemon, lines, patience, text, until } from './harness.ts';

/** Counts in memory alone: only the machine's memory knows how far it is. */
const counter = "nohup bash -c 'i=0; while :; do i=$((i+1)); echo $i > /dev/shm/count; sleep 0.2; done' > /dev/null 2>&1 & echo $!";

const sh = async (it: Box, command: string): Promise<string> => {
  const { stdout, stderr, exitCode } = await it.exec(command);
  assert.equal(exitCode, 0, stderr);
  return stdout.trim();
};
const count = async (it: Box): Promise<number> => Number(await sh(it, 'cat /dev/shm/count'));
const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const began = performance.now();
  const result = await work();
  process.stdout.write(`# ${what}: ${Math.round(performance.now() - began)} ms\n`);
  return result;
};

suite('going back, going on elsewhere', { timeout: 8 * patience }, () => {
  let daemon: Daemon;
  let citb: Citb;
  let box: Box;
  before(async () => {
    daemon = await Daemon.start({ CITB_TEMPLATES: '0' });
    citb = new Citb({ url: daemon.url, apiKey: daemon.key });
    box = await citb.boxes.create({ userId: 'ada' });
  });
  after(async () => {
    await citb[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
  });

  const recall = async (userId: string): Promise<string> => text(await daemon.task(userId, '[[scenario:recall]] What was before?'));

  test('a restore brings back files, a running process and the conversation; the clock is right', async () => {
    await daemon.task('ada', 'Create a Python script that prints hello world');
    const pid = await sh(box, counter);
    await sh(box, 'echo before > state.txt');
    const made = await timed('checkpoint with memory', () => box.checkpoints.create({ name: 'a good state' }));
    assert.deepEqual([made.kind, made.memory, made.name], ['manual', true, 'a good state']);
    const then = await count(box);
    await until('the counter went on', async () => (await count(box)) > then + 10);
    await sh(box, `echo after > state.txt; rm hello.py; kill ${pid}`);
    await daemon.task('ada', 'Write a haiku about disks');
    assert.match(await recall('ada'), /haiku/);

    const restored = await timed('restore with memory', () => box.checkpoints.restore(made.id));
    assert.equal(restored.state, 'running');
    // Not by as much as the time since the checkpoint; an emulated guest of two processors counts time by ticks, and a busy host loses some.
    const off = Math.abs(Number(await sh(box, 'date +%s%3N')) - Date.now());
    assert.ok(off < 5000, `the clock is off by ${off} ms`);
    assert.equal(await sh(box, 'cat state.txt; ls'), 'before\nhello.py\nstate.txt');
    const resumed = await count(box);
    assert.ok(resumed >= then - 5 && resumed < then + 60, `the process is at ${resumed}, it was at ${then}`);
    await until('the same process counts on', async () => (await count(box)) > resumed + 3);
    assert.equal(await sh(box, `kill -0 ${pid} && echo alive`), 'alive');
    const earlier = await recall('ada');
    assert.match(earlier, /hello world/);
    assert.doesNotMatch(earlier, /haiku/);
    const { tasks } = await box.tasks();
    assert.ok(tasks.length >= 3, 'what was done since is still told');
  });

  test('before each task there is a checkpoint to go back to', async () => {
    await sh(box, 'echo precious > precious.txt');
    const events = await timed('task with an automatic checkpoint', () =>
      daemon.task('ada', '[[scenario:bash command="rm precious.txt"]] Clean up'),
    );
    assert.equal(completion(events).outcome, 'done');
    await assert.rejects(box.files.read('precious.txt'), /nothing at/i);
    const { tasks } = await box.tasks({ limit: 1 });
    const undo = (await box.checkpoints.list()).find(({ task_id }) => task_id === tasks[0]?.id);
    assert.deepEqual([undo?.kind, undo?.memory], ['auto', false]);
    await timed('rollback to before a task (cold boot)', () => box.checkpoints.restore((undo as Checkpoint).id));
    assert.equal(await box.files.read('precious.txt'), 'precious\n');
    assert.doesNotMatch(await recall('ada'), /Clean up/);
    const automatic = (await box.checkpoints.list()).filter(({ kind }) => kind === 'auto');
    assert.ok(automatic.length <= 5, `${automatic.length} are kept`);
  });

  test('a task that runs when the box goes back ends as interrupted, and the next one runs', async () => {
    const made = await box.checkpoints.create();
    const response = await daemon.call('POST', '/claude_in_the_box', {
      user_id: 'ada',
      task: '[[scenario:bash command="sleep 600"]] Sleep',
      files: {},
    });
    const events: TaskEvent[] = [];
    let restoring: Promise<unknown> | undefined;
    for await (const event of lines<TaskEvent>(response)) {
      events.push(event);
      if (event.type === 'tool_use') restoring ??= box.checkpoints.restore(made.id);
    }
    await restoring;
    assert.equal(completion(events).outcome, 'interrupted');
    const next = await daemon.task('ada', '[[scenario:say text=fine]] And now?');
    assert.deepEqual([completion(next).outcome, text(next)], ['done', 'fine']);
  });

  test('the agent makes a checkpoint of its own box', async () => {
    const events = await daemon.task(
      'ada',
      '[[scenario:tool name=mcp__box__checkpoint input="{\\"name\\":\\"before the migration\\"}"]] Make a checkpoint',
    );
    assert.match(text(events), /Checkpoint ckp_\w+ is made/);
    const made = (await box.checkpoints.list()).findLast(({ kind }) => kind === 'agent');
    assert.equal(made?.name, 'before the migration');
  });

  test('a fork is the box in all, and from then on another', async () => {
    // The first one came back with its checkpoint.
    await sh(box, 'sudo pkill -f "shm/coun[t]" || true');
    const pid = await sh(box, counter);
    await sh(box, 'echo shared > fork.txt');
    const then = await count(box);
    await using fork = await timed('fork', () => box.fork({ userId: 'bob' }));
    assert.equal(await sh(fork, 'cat fork.txt'), 'shared');
    assert.equal(await sh(fork, `kill -0 ${pid} && echo alive`), 'alive');
    assert.ok((await count(fork)) >= then, 'its process goes on from there');
    await sh(fork, `kill ${pid}; echo fork > fork.txt`);
    await sh(box, `kill -0 ${pid}; echo source > fork.txt`);
    assert.deepEqual([await sh(box, 'cat fork.txt'), await sh(fork, 'cat fork.txt')], ['source', 'fork']);
    for (const command of ['hostname', 'cat /etc/machine-id', 'cat /proc/sys/kernel/random/uuid', 'sudo cat /run/citb/init.json'])
      assert.notEqual(await sh(box, command), await sh(fork, command), command);
    await daemon.task('ada', '[[scenario:say text=ok]] Only the source is told of apples');
    await daemon.task('bob', '[[scenario:say text=ok]] Only the fork is told of pears');
    const [source, other] = [await recall('ada'), await recall('bob')];
    assert.match(source, /apples/);
    assert.doesNotMatch(source, /pears/);
    assert.match(other, /pears/);
    assert.doesNotMatch(other, /apples/);
    for (const each of [source, other]) assert.match(each, /hello world/, 'what was before the fork, both remember');
  });

  test('a paused box is forked as it lies, and sleeps on', async () => {
    const then = await count(box);
    await box.pause();
    await using fork = await timed('fork of a paused box', () => box.fork());
    assert.ok((await count(fork)) >= then, 'its process goes on from there');
    await box.refresh();
    assert.equal(box.info.state, 'paused');
    assert.ok((await count(box)) >= then, 'and so does the one of the source, when it is woken');
  });

  test('an exported box comes back after it was killed: files, conversation, tasks; a broken download goes on', async () => {
    await sh(box, 'mkdir -p deep && head -c 3000000 /dev/urandom > deep/random.bin && sync');
    const sum = await sh(box, 'sha256sum < deep/random.bin');
    const { tasks: known } = await box.tasks();
    const prepared = await timed('export is prepared', () => citb.exports.prepare(box.id));
    process.stdout.write(`# export: ${prepared.size_bytes} bytes\n`);
    const first = (await buffer((await citb.exports.download(prepared.id)).body)).subarray(0, 1_000_000);
    const rest = await buffer((await citb.exports.download(prepared.id, first.length)).body);
    const file = Buffer.concat([first, rest]);
    assert.equal(createHash('sha256').update(file).digest('hex'), prepared.sha256);
    await box.kill();

    const damaged = Buffer.from(file);
    damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
    await assert.rejects(citb.boxes.import(damaged), /import_invalid|not an intact/);
    await assert.rejects(citb.boxes.import(file.subarray(0, file.length - 4096)), /not an intact/);

    const back = await timed('import', () => citb.boxes.import(Readable.from([file]), { userId: 'ada' }));
    assert.equal(back.info.state, 'stopped');
    assert.equal(await sh(back, 'sha256sum < deep/random.bin'), sum);
    const earlier = await recall('ada');
    assert.match(earlier, /hello world/);
    assert.match(earlier, /apples/);
    const { tasks } = await back.tasks();
    assert.deepEqual(
      tasks.slice(1).map(({ id, state }) => [id, state]),
      known.map(({ id, state }) => [id, state]),
    );
    const replay: TaskEvent[] = [];
    for await (const event of back.task(tasks[1]?.id ?? '').events()) replay.push(event);
    assert.equal(completion(replay).outcome, 'done');
    const usage = await citb.usage({ userId: 'ada' });
    assert.equal(usage.boxes.length, 1);
    assert.ok(usage.total_bytes > 3_000_000);
    await back.kill();
  });
});
