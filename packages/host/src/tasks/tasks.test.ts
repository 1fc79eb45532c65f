import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTaskEnded, limits } from '@citb/api';
import { bench, code, done, hello, read, text, token, until } from './bench.double.ts';
import { defaultPatience } from './patience.ts';

test('a task is handed over, streams its events and is forgotten in the guest', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', { ...hello, files: { 'a.txt': 'A' } });
  assert.equal(task.state, 'queued');
  assert.deepEqual(it.agent.journals.get(task.id)?.request.files, { 'a.txt': 'A' });
  const reading = read(it.tasks, task.id);
  it.agent.emit(task.id, { type: 'status', content: { status: 'started' } }, text('one'), done);
  const events = await reading;
  assert.deepEqual(
    events.map(({ seq, type }) => [seq, type]),
    [
      [1, 'status'],
      [2, 'text'],
      [3, 'completion'],
    ],
  );
  const ended = await it.tasks.get('box', task.id);
  assert.equal(ended.state, 'done');
  assert.equal(ended.result, 'Done!');
  assert.ok(ended.started !== null && ended.ended !== null);
  await until(() => it.agent.forgotten.includes(task.id));
  assert.deepEqual(await read(it.tasks, task.id), events, 'a replay gives the same events');
  assert.deepEqual(await read(it.tasks, task.id, 2), events.slice(2));
  assert.deepEqual(await read(it.tasks, task.id, 99), []);
});

test('many readers see the same events while they come', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  const readers = Array.from({ length: 20 }, () => read(it.tasks, task.id));
  for (let index = 0; index < 50; index += 1) {
    it.agent.emit(task.id, text(String(index)));
    if (index % 10 === 0) await sleep(1);
  }
  it.agent.emit(task.id, done);
  const all = await Promise.all(readers);
  for (const events of all) assert.deepEqual(events, all[0]);
  assert.equal(all[0]?.length, 51);
});

test('what the box says against a new task is the answer, and nothing is kept', async () => {
  await using it = await bench();
  it.agent.refuse = 'disk_full';
  await assert.rejects(it.tasks.start('box', hello, 'key-1'), code('disk_full'));
  assert.deepEqual((await it.tasks.list('box', { limit: 10 })).tasks, []);
  it.agent.refuse = undefined;
  await it.tasks.start('box', hello, 'key-1');
});

test('a box without agent, without key, or with too many tasks refuses in words', async () => {
  await using it = await bench({ key: null });
  await assert.rejects(it.tasks.start('nobody', hello), code('box_not_found'));
  await assert.rejects(it.tasks.start('box', hello), code('no_model_key'));
  await it.tasks.start('box', { ...hello, modelKey: 'sk-of-the-request' });
  assert.equal(it.keys.get('box'), 'sk-of-the-request');
  for (let index = 1; index < limits.tasksPerBox; index += 1) await it.tasks.start('box', hello);
  await assert.rejects(it.tasks.start('box', hello), code('queue_full'));
  assert.deepEqual(it.tasks.counts('box'), { running: 0, queued: limits.tasksPerBox });
  it.boxes.start('plain', {}, token, false);
  await assert.rejects(it.tasks.start('plain', hello), code('no_agent'));
});

test('the same Idempotency-Key is the same task; with another request it is a conflict', async () => {
  await using it = await bench();
  const [one, two] = await Promise.all([it.tasks.start('box', hello, 'k'), it.tasks.start('box', hello, 'k')]);
  assert.equal(one.id, two.id);
  assert.equal((await it.tasks.start('box', hello, 'k')).id, one.id);
  assert.equal(it.agent.posts, 1);
  await assert.rejects(it.tasks.start('box', { ...hello, prompt: 'other' }, 'k'), code('idempotency_conflict'));
});

test('cancel reaches the guest, also when it was away', async () => {
  await using it = await bench();
  const one = await it.tasks.start('box', hello);
  await it.tasks.cancel('box', one.id);
  assert.deepEqual(it.agent.cancelled, [one.id]);
  it.agent.emit(one.id, { type: 'completion', content: 'Stopped.', outcome: 'interrupted', stop_reason: null });
  await read(it.tasks, one.id);
  await assert.rejects(it.tasks.cancel('box', one.id), code('task_ended'));

  it.agent.misbehave = (_request, response) => response.destroy();
  const two = await it.tasks.start('box', hello);
  await it.tasks.cancel('box', two.id);
  it.agent.misbehave = undefined;
  await until(() => it.agent.cancelled.includes(two.id));
});

test('answers go to the agent; lists go by pages, newest first', async () => {
  await using it = await bench();
  const ids: string[] = [];
  for (let index = 0; index < 5; index += 1) ids.unshift((await it.tasks.start('box', hello)).id);
  await it.tasks.answer('box', ids.at(-1) ?? '', 'q 1/2', { answers: { 'Which?': 'This' } });
  assert.deepEqual(it.agent.answers, [{ answers: { 'Which?': 'This' } }]);
  const first = await it.tasks.list('box', { limit: 3 });
  const second = await it.tasks.list('box', { limit: 3, cursor: first.next ?? '' });
  assert.deepEqual(
    [...first.tasks, ...second.tasks].map(({ id }) => id),
    ids,
  );
  assert.equal(second.next, null);
  await assert.rejects(it.tasks.list('box', { limit: 3, cursor: 'x' }), code('invalid_request'));
  await assert.rejects(it.tasks.get('other', ids[0] ?? ''), code('task_not_found'));
});

test('events come within a few milliseconds', async () => {
  await using it = await bench({ patience: defaultPatience });
  const task = await it.tasks.start('box', hello);
  const delays: number[] = [];
  let sent = 0;
  const reading = (async () => {
    for await (const event of it.tasks.events('box', task.id, 0, AbortSignal.timeout(20_000))) {
      if (event?.type === 'text_delta') delays.push(performance.now() - sent);
    }
  })();
  for (let index = 0; index < 200; index += 1) {
    await sleep(2);
    sent = performance.now();
    it.agent.emit(task.id, { type: 'text_delta', content: 'x', index });
  }
  it.agent.emit(task.id, done);
  await reading;
  const median = delays.toSorted((a, b) => a - b)[delays.length / 2] ?? Infinity;
  // The double's own HTTP is in it too; a timer anywhere in the path would show.
  assert.ok(median < 10, `median ${median} ms`);
  assert.ok(isTaskEnded((await it.tasks.get('box', task.id)).state));
});
