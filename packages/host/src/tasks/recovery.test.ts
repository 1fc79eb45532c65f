import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, limits, type TaskEvent } from '@citb/api';
import { bench, code, contents, done, hello, quick, read, text, until } from './bench.double.ts';

test('cuts at random points, lost machines and new daemons lose nothing and double nothing', async () => {
  await using it = await bench({ patience: { ...quick, giveUpMs: 60_000 } });
  it.boxes.revive = async () => it.reboot();
  const task = await it.tasks.start('box', hello);
  const total = 400;
  const sent = Array.from({ length: total }, (_, index) => `event ${index} ${'ü'.repeat(randomInt(2000))}`);
  const writing = (async () => {
    for (const content of sent) {
      it.agent.emit(task.id, text(content));
      const dice = randomInt(40);
      if (dice < 3) it.agent.cut();
      else if (dice === 3) it.boxes.lose('box');
      else if (dice === 4) await it.restart();
      if (dice < 15) await sleep(randomInt(8));
    }
    it.agent.emit(task.id, done);
  })();
  const seen: TaskEvent[] = [];
  while (seen.at(-1)?.type !== 'completion') {
    // A reader that leaves after a few events and comes back with `after`.
    const few = randomInt(60);
    let count = 0;
    seen.push(...(await read(it.tasks, task.id, seen.at(-1)?.seq ?? 0, () => (count += 1) > few)));
    await sleep(1);
  }
  await writing;
  assert.deepEqual(
    seen.map(({ seq }) => seq),
    Array.from({ length: total + 1 }, (_, index) => index + 1),
  );
  assert.deepEqual(contents(seen), [...sent, 'Done!']);
});

test('a guest that lost the end of its journal in a crash, and wrote on under the same numbers, loses and doubles nothing', async () => {
  await using it = await bench();
  it.boxes.revive = async () => it.reboot();
  const task = await it.tasks.start('box', hello);
  it.agent.emit(task.id, ...Array.from({ length: 9 }, (_, index) => text(`${index + 1}`)));
  await read(it.tasks, task.id, 0, ({ seq }) => seq === 9);
  // First crash: fewer events than before when the host comes back.
  it.agent.loseTail(task.id, 6);
  it.agent.emit(task.id, text('once'), text('more'));
  it.boxes.lose('box');
  await read(it.tasks, task.id, 0, ({ seq }) => seq === 11);
  // Second crash: deeper than the first, and more events than before when the host comes back.
  it.agent.loseTail(task.id, 3);
  it.agent.emit(task.id, ...Array.from({ length: 20 }, (_, index) => text(`new ${index}`)), done);
  it.boxes.lose('box');
  assert.deepEqual(contents(await read(it.tasks, task.id)), [
    '1',
    '2',
    '3',
    '4',
    '5',
    '6',
    '7',
    '8',
    '9',
    'once',
    'more',
    ...Array.from({ length: 20 }, (_, index) => `new ${index}`),
    'Done!',
  ]);
});

test('a task that was recorded while the box went away is handed over when it is back', async () => {
  await using it = await bench();
  it.agent.misbehave = (_request, response) => response.destroy();
  const task = await it.tasks.start('box', hello);
  assert.equal(task.state, 'queued');
  assert.equal(it.agent.journals.size, 0);
  await it.restart();
  it.agent.misbehave = undefined;
  await until(() => it.agent.journals.has(task.id));
  it.agent.emit(task.id, done);
  assert.deepEqual(contents(await read(it.tasks, task.id)), ['Done!']);
});

test('a box that cannot come back ends its tasks: error, then completion', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  it.agent.emit(task.id, text('1'));
  await read(it.tasks, task.id, 0, () => true);
  it.boxes.lose('box');
  const events = await read(it.tasks, task.id);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['text', 'error', 'completion'],
  );
  assert.equal((await it.tasks.get('box', task.id)).outcome, 'failed');
});

test('a host that is full for the moment costs no task', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  let left = quick.starts * 3;
  it.boxes.revive = async () => {
    if (left-- > 0) throw new ApiError('host_full');
    return it.reboot();
  };
  it.boxes.lose('box');
  await until(() => left < 0);
  it.agent.emit(task.id, done);
  assert.deepEqual(contents(await read(it.tasks, task.id)), ['Done!']);
  assert.equal(it.boxes.notes.filter((note) => /waits: This host has no room/.test(note)).length, 1);

  const other = await it.tasks.start('box', hello);
  it.boxes.revive = async () => {
    throw new ApiError('host_full');
  };
  it.boxes.lose('box');
  const [error, completion] = await read(it.tasks, other.id);
  assert.deepEqual([error?.type, completion?.type], ['error', 'completion'], 'but not for ever');

  it.reboot();
  const unwanted = await it.tasks.start('box', hello);
  it.boxes.lose('box');
  await it.tasks.cancel('box', unwanted.id);
  await read(it.tasks, unwanted.id);
  assert.equal((await it.tasks.get('box', unwanted.id)).outcome, 'interrupted');
});

test('an agent that never answers properly again ends the task instead of holding it for ever', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  it.agent.misbehave = (_request, response) => response.end('no');
  it.agent.cut();
  const events = await read(it.tasks, task.id);
  assert.equal(events.at(-1)?.type, 'completion');
  assert.equal((await it.tasks.get('box', task.id)).state, 'failed');
});

test('a task that the guest no longer knows is ended', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  it.agent.journals.clear();
  it.agent.cut();
  const events = await read(it.tasks, task.id);
  assert.equal(events.at(-1)?.content, 'The box lost this task: its disk no longer has it.');
});

test('lines that are no events are left out, and the rest goes on', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  const reading = read(it.tasks, task.id);
  const at = `"ts":"2026-01-01T00:00:00.000Z"`;
  const deep = `{"seq":1,${at},"type":"tool_use","content":{"id":"1","name":"x","input":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}}`;
  for (const line of [
    '{',
    'null',
    '[]',
    '"text"',
    `{"seq":1,${at},"type":"text","content":7}`,
    `{"seq":-1,${at},"type":"text","content":"x"}`,
    `{"seq":1e400,${at},"type":"text","content":"x"}`,
    `{"seq":1,${at},"type":"text","content":"${'x'.repeat(limits.eventBytes * 2)}"}`,
    deep,
    '\u0000\u0001',
  ]) {
    it.agent.raw(task.id, line);
  }
  it.agent.emit(task.id, text('still here'), done);
  assert.deepEqual(contents(await reading), ['still here', 'Done!']);
  assert.equal(it.boxes.notes.length > 0, true);
});

test('a killed box ends the open streams of its tasks and leaves no row', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  it.agent.emit(task.id, text('1'));
  const reading = read(it.tasks, task.id);
  await read(it.tasks, task.id, 0, () => true);
  await it.boxes.kill('box');
  const events = await reading;
  assert.deepEqual(
    events.map(({ type }) => type),
    ['text', 'error', 'completion'],
  );
  assert.equal(events.at(-1)?.type === 'completion' && events.at(-1)?.content, 'The box was killed while the request ran.');
  await assert.rejects(it.tasks.get('box', task.id), code('task_not_found'));
  for (const table of ['tasks', 'task_spool', 'task_events']) {
    assert.equal((it.store.db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n, 0);
  }
});

test('a reader that is far behind when the box is killed still gets every event, then the rows go', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  const count = 40;
  for (let each = 0; each < count; each += 1) it.agent.emit(task.id, text(`${each} ${'x'.repeat(100_000)}`));
  const slow = it.tasks.events('box', task.id, 0, AbortSignal.timeout(20_000))[Symbol.asyncIterator]();
  const first = await slow.next();
  await read(it.tasks, task.id, 0, ({ seq }) => seq === count);
  await it.boxes.kill('box');
  await assert.rejects(it.tasks.get('box', task.id), code('task_not_found'));
  assert.deepEqual((await it.tasks.list('box', { limit: 9 })).tasks, []);
  const seen = [first.value?.seq];
  for (let next = await slow.next(); next.done !== true; next = await slow.next()) seen.push(next.value?.seq);
  assert.deepEqual(
    seen,
    Array.from({ length: count + 2 }, (_, index) => index + 1),
  );
  assert.equal((it.store.db.prepare('SELECT count(*) AS n FROM task_events').get() as { n: number }).n, 0);
});
