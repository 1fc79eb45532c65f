import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { bench, contents, done, hello, quick, read, text, until } from './bench.double.ts';

test('a task whose box was paused by its owner waits, longer than any patience, and goes on when the box runs again', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  it.agent.emit(task.id, text('before'));
  await read(it.tasks, task.id, 0, ({ seq }) => seq === 1);
  const { promise: awake, resolve: wake } = Promise.withResolvers<void>();
  it.boxes.asleep = awake;
  let woken = 0;
  it.boxes.revive = async () => {
    woken += 1;
    return it.reboot();
  };
  it.boxes.lose('box');
  const rest = read(it.tasks, task.id, 1);
  await sleep(quick.giveUpMs * 2);
  assert.equal(woken, 0, 'it does not wake the box');
  assert.equal((await it.tasks.get('box', task.id)).state, 'running');
  it.boxes.asleep = undefined;
  wake();
  await until(() => woken === 1);
  it.agent.emit(task.id, text('after'), done);
  assert.deepEqual(contents(await rest), ['after', 'Done!']);
});

test('cancelling a task wakes its box', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  it.boxes.asleep = new Promise(() => {});
  let woken = 0;
  it.boxes.revive = async () => {
    woken += 1;
    it.boxes.asleep = undefined;
    return it.reboot();
  };
  it.boxes.lose('box');
  await it.tasks.cancel('box', task.id);
  await until(() => woken === 1);
});

test('a box is in use as long as it has a task, and not after it', async () => {
  await using it = await bench();
  const task = await it.tasks.start('box', hello);
  assert.ok(it.boxes.inUse.includes('box'), 'however silent its agent is');
  it.agent.emit(task.id, done);
  await read(it.tasks, task.id);
  await until(() => it.boxes.inUse.length === 0);
});
