import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ApiError } from '@citb/api';
import { bench, code, contents, done, hello, read, until } from './bench.double.ts';

/** Says what happens before tasks: the id of each, and how many tasks the guest knew then. */
function watched() {
  const before: string[] = [];
  return { before, beforeTask: async (_box: unknown, id: string) => void before.push(id) };
}

suite('tasks that wait for each other', () => {
  test('each is handed over when the one before it is over, in order, and what is done before a task finds it so', async () => {
    const known: number[] = [];
    await using it = await bench({
      beforeTask: async () => void known.push([...it.agent.journals.values()].filter(({ state }) => state === 'queued').length),
    });
    const ids: string[] = [];
    for (let n = 0; n < 4; n += 1) ids.push((await it.tasks.start('box', hello)).id);
    assert.deepEqual(it.tasks.counts('box'), { running: 0, queued: 4 });
    for (const [index, id] of ids.entries()) {
      await until(() => it.agent.journals.has(id));
      assert.deepEqual([...it.agent.journals.keys()], ids.slice(0, index + 1), 'the others wait on the host');
      it.agent.emit(id, done);
      await read(it.tasks, id);
    }
    assert.deepEqual(known, [0, 0, 0, 0], 'nothing else was at work');
    const [first] = await read(it.tasks, ids[2] ?? '');
    assert.deepEqual([first?.type, first?.content], ['status', { status: 'queued', position: 2 }]);
  });

  test('one that waits is cancelled at once, and the guest never hears of it; the one after it moves up', async () => {
    const { before, beforeTask } = watched();
    await using it = await bench({ beforeTask });
    const [one, two, three] = [await it.tasks.start('box', hello), await it.tasks.start('box', hello), await it.tasks.start('box', hello)];
    await assert.rejects(it.tasks.answer('box', two.id, 'q', { answers: {} }), code('question_not_found'));
    assert.equal((await it.tasks.cancel('box', two.id)).state, 'interrupted');
    assert.equal(contents(await read(it.tasks, two.id)).at(-1), 'The task was cancelled before it began.');
    await assert.rejects(it.tasks.cancel('box', two.id), code('task_ended'));
    it.agent.emit(one.id, done);
    await until(() => it.agent.journals.has(three.id));
    assert.ok(!it.agent.journals.has(two.id));
    assert.deepEqual(before, [one.id, three.id]);
  });

  test('what the box says against one that waited ends it, and the next one runs', async () => {
    await using it = await bench();
    const [one, two, three] = [await it.tasks.start('box', hello), await it.tasks.start('box', hello), await it.tasks.start('box', hello)];
    it.agent.refuse = 'disk_full';
    it.agent.emit(one.id, done);
    const events = await read(it.tasks, two.id);
    assert.match(JSON.stringify(events), /disk_full/);
    assert.equal((await it.tasks.get('box', two.id)).state, 'failed');
    it.agent.refuse = undefined;
    await until(async () => it.agent.journals.has(three.id) || (await it.tasks.get('box', three.id)).state === 'failed');
  });

  test('another daemon goes on with the queue: order kept, nothing lost, nothing prepared twice', async () => {
    const { before, beforeTask } = watched();
    await using it = await bench({ beforeTask });
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) ids.push((await it.tasks.start('box', hello)).id);
    await it.restart();
    for (const id of ids) {
      await until(() => it.agent.journals.has(id));
      it.agent.emit(id, done);
      assert.equal((await read(it.tasks, id)).at(-1)?.type, 'completion');
    }
    assert.deepEqual([...it.agent.journals.keys()], ids);
    assert.deepEqual(before, ids);
  });

  test('a daemon that is told to stop leaves what it could not prepare to the next one', async () => {
    const before: string[] = [];
    let stopping = false;
    await using it = await bench({
      beforeTask: async (_box, id) => {
        before.push(id);
        if (stopping) throw new ApiError('host_stopping');
      },
    });
    const one = await it.tasks.start('box', hello);
    const two = await it.tasks.start('box', hello);
    stopping = true;
    it.agent.emit(one.id, done);
    await until(() => before.length === 2);
    stopping = false;
    await it.restart();
    await until(() => it.agent.journals.has(two.id));
    assert.deepEqual(before, [one.id, two.id, two.id]);
  });

  test('a daemon that ends before the guest has the task prepares it again; after that never, also when nobody knows whether it has it', async () => {
    const before: string[] = [];
    let hold: Promise<void> | undefined;
    await using it = await bench({ beforeTask: async (_box, id) => (before.push(id), await hold) });
    const held = Promise.withResolvers<void>();
    hold = held.promise;
    const started = it.tasks.start('box', hello);
    await until(() => before.length === 1);
    const [id = ''] = before;
    // The first daemon is gone: it never gets past this.
    hold = undefined;
    it.begin();
    it.tasks.resume();
    await until(() => it.agent.journals.has(id));
    assert.deepEqual(before, [id, id]);
    held.resolve();
    await started;
    // The guest's answer to a hand-over may be lost with the daemon.
    it.store.db
      .prepare('INSERT INTO task_spool (task, request) SELECT number, ? FROM tasks WHERE id = ?')
      .run(JSON.stringify(it.agent.journals.get(id)?.request), id);
    await it.restart();
    it.agent.emit(id, done);
    await read(it.tasks, id);
    assert.deepEqual(before, [id, id]);
  });
});
