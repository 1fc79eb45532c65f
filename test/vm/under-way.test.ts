import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Box, Citb, type Task } from '@citb/sdk';
import { completion, Daemon, patience, until } from './harness.ts';

const sh = async (it: Box, command: string): Promise<string> => {
  const { stdout, stderr, exitCode } = await it.exec(command);
  assert.equal(exitCode, 0, stderr);
  return stdout.trim();
};
const outcome = async (task: Task): Promise<string> => {
  const events = [];
  for await (const event of task.events()) events.push(event);
  return completion(events).outcome;
};
const over = async (it: Box): Promise<boolean> => (await sh(it, 'cat /dev/shm/over 2>/dev/null || true')) === 'over';

/** Claude Code was seen to wait 90 s and more for the answer of a connection that is no more; a busy emulated machine is slow, but not that slow. */
const notHangingMs = 75_000;

const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const began = performance.now();
  const result = await work();
  const took = Math.round(performance.now() - began);
  process.stdout.write(`# ${what}: ${took} ms\n`);
  assert.ok(took < notHangingMs, `${what} took ${took} ms`);
  return result;
};

suite('what is under way when a machine is copied, goes back or sleeps', { timeout: 6 * patience }, () => {
  let daemon: Daemon;
  let citb: Citb;
  let box: Box;
  before(async () => {
    daemon = await Daemon.start();
    citb = new Citb({ url: daemon.url, apiKey: daemon.key });
    box = await citb.boxes.create({ userId: 'ada' });
  });
  after(async () => {
    await citb[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
  });

  test('a fork in the middle of an answer of the model: the source’s connection stays, the fork’s agent does not wait for it', async () => {
    const task = await box.run('[[scenario:wait name=fork text=released]] Wait');
    await until('the model holds its answer', () => daemon.model.waiting('fork') === 1);
    // Beside the agent a program of the user's waits for an answer of the broker, too.
    await sh(
      box,
      'bash -c "exec 3<>/dev/tcp/10.0.2.100/80; cat <&3 > /dev/null; echo over > /dev/shm/over" > /dev/null 2>&1 & echo started',
    );
    await using fork = await box.fork({ userId: 'bob' });
    assert.equal(await timed('a user’s connection in the fork is reset', () => until('it is over', () => over(fork))), true);
    const next = await timed('the next task of the fork', async () => outcome(await fork.run('[[scenario:say text=fine]] And now?')));
    assert.equal(next, 'done');
    daemon.model.release('fork');
    assert.equal(await outcome(task), 'done');
  });

  test('a checkpoint with memory in the middle of an answer: after the rollback the next task does not wait', async () => {
    const task = await box.run('[[scenario:wait name=back text=released]] Wait');
    await until('the model holds its answer', () => daemon.model.waiting('back') === 1);
    const made = await box.checkpoints.create({ memory: true });
    await box.checkpoints.restore(made.id);
    assert.equal(await outcome(task), 'interrupted');
    const next = await timed('the next task after the rollback', async () => outcome(await box.run('[[scenario:say text=fine]] And now?')));
    assert.equal(next, 'done');
  });

  test('a pause by hand ends the stream of a command in words; the command goes on, and its output is followed again', async () => {
    const commands = box.processes.stream('for i in $(seq 1 600); do echo $i; sleep 0.2; done');
    const { value: start } = await commands.next();
    assert.equal(start?.type, 'start');
    await commands.next();
    const broken = assert.rejects(Array.fromAsync(commands), { code: 'box_paused' });
    const terminal = await box.terminal();
    terminal.write('echo in the terminal\n');
    await box.pause();
    await broken;
    await assert.rejects(terminal.exitCode, { code: 'box_paused' });
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.equal((await box.refresh()).state, 'paused', 'nobody woke it');
    let lines = '';
    for await (const output of box.processes.output(start.pid)) {
      if (output.type === 'stdout') lines += output.data.toString();
      if (lines.split('\n').length > 10) break;
    }
    assert.match(lines, /^\d+\n\d+\n/);
    assert.match(
      await sh(box, 'ps -o pid= -p ' + terminal.pid),
      new RegExp(String(terminal.pid)),
      'and so does the program of the terminal',
    );
    await box.processes.kill(start.pid, 'SIGKILL');
  });

  test('before a task that waited there is a checkpoint, too: of what the one before it left', async () => {
    await sh(box, 'echo 0 > n.txt');
    const tasks: Task[] = [];
    for (const n of [1, 2, 3]) tasks.push(await box.run(`[[scenario:bash command="echo ${n} > n.txt"]] Count`));
    for (const task of tasks) assert.equal(await outcome(task), 'done');
    const checkpoints = await box.checkpoints.list();
    const undo = checkpoints.find(({ task_id }) => task_id === tasks[2]?.id);
    assert.equal(undo?.kind, 'auto');
    await box.checkpoints.restore(undo.id);
    assert.equal(await sh(box, 'cat n.txt'), '2');
  });
});
