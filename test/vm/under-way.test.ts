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
/** A program of the user's that asks the model and waits for all of the answer; it is `over` when its connection is. */
async function ask(it: Box, gate: string): Promise<void> {
  const body = JSON.stringify({
    model: 'claude-sonnet-5',
    max_tokens: 100,
    stream: true,
    messages: [{ role: 'user', content: `[[scenario:wait name=${gate}]] Wait` }],
  });
  const head = `POST /v1/messages HTTP/1.1\\r\\nHost: broker\\r\\nConnection: close\\r\\nContent-Type: application/json\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n`;
  const script = `exec 3<>/dev/tcp/10.0.2.100/80\nprintf '${head}%s' '${body}' >&3\ncat <&3 >/dev/null\necho over > /dev/shm/over\n`;
  await it.files.write('ask.sh', script);
  await sh(it, 'rm -f /dev/shm/over; bash ask.sh > /dev/null 2>&1 & echo started');
}

const over = async (it: Box): Promise<boolean> => (await sh(it, 'cat /dev/shm/over 2>/dev/null || true')) === 'over';

const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const began = performance.now();
  const result = await work();
  process.stdout.write(`# ${what}: ${Math.round(performance.now() - began)} ms\n`);
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

  test('a fork in the middle of an answer of the model: the source’s connections stay, nothing in the fork waits for them', async () => {
    const task = await box.run('[[scenario:wait name=agent text=released]] Wait');
    await ask(box, 'user');
    await until('the model holds both answers', () => daemon.model.waiting('agent') + daemon.model.waiting('user') === 2);
    try {
      await using fork = await box.fork({ userId: 'bob' });
      // Without a reset it would never end: it waits, and sends nothing.
      await timed('the connection of a user’s program in the fork is reset', () => until('it is over', () => over(fork)));
      const next = await timed('the next task of the fork', async () => outcome(await fork.run('[[scenario:say text=fine]] And now?')));
      assert.equal(next, 'done');
      assert.equal(await over(box), false);
    } finally {
      for (const gate of ['agent', 'user']) daemon.model.release(gate);
    }
    assert.equal(await outcome(task), 'done');
    await until('the program in the source got its answer', () => over(box));
  });

  test('a checkpoint with memory in the middle of an answer: after the rollback nothing waits for it', async () => {
    const task = await box.run('[[scenario:wait name=agent-again text=released]] Wait');
    await ask(box, 'user-again');
    await until('the model holds both answers', () => daemon.model.waiting('agent-again') + daemon.model.waiting('user-again') === 2);
    const made = await box.checkpoints.create({ memory: true });
    await box.checkpoints.restore(made.id);
    assert.equal(await outcome(task), 'interrupted');
    await timed('the connection of a user’s program is reset', () => until('it is over', () => over(box)));
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
    assert.equal(await sh(box, `kill -0 ${terminal.pid} && echo alive`), 'alive', 'and so does the program of the terminal');
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
