import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { bench, contents, done, hello, read, text, until } from './bench.double.ts';

suite('tasks of a box that goes back', () => {
  test('what had not ended ends as interrupted, at once and in every stream; the next task runs', async () => {
    await using it = await bench();
    const running = await it.tasks.start('box', hello);
    const waiting = await it.tasks.start('box', hello);
    it.agent.emit(running.id, text('working'));
    const stream = read(it.tasks, running.id);
    await until(async () => (await it.tasks.get('box', running.id)).last_seq > 0);
    it.tasks.rolledBack('box');
    const events = await stream;
    assert.equal(events.at(-1)?.type, 'completion');
    assert.match(JSON.stringify(contents(events)), /rolled_back/);
    for (const { id } of [running, waiting]) assert.equal((await it.tasks.get('box', id)).state, 'interrupted');
    assert.deepEqual(it.tasks.counts('box'), { running: 0, queued: 0 });
    it.agent.emit(running.id, text('still working'));
    const next = await it.tasks.start('box', hello);
    it.agent.emit(next.id, done);
    assert.equal((await read(it.tasks, next.id)).at(-1)?.type, 'completion');
    assert.equal((await it.tasks.get('box', running.id)).state, 'interrupted');
  });

  test('a guest that believes in tasks that are over, or of another box, is told', async () => {
    await using it = await bench();
    const over = await it.tasks.start('box', hello);
    it.tasks.rolledBack('box');
    const stranger = 'task_00000000000000000000';
    const request = { id: stranger, prompt: 'of the box it came from', files: {}, options: {} };
    it.agent.journals.set(stranger, { request, lines: [], state: 'running', lastSeq: 1 });
    const kept = await it.tasks.start('box', hello);
    it.boxes.lose('box');
    it.reboot();
    await until(() => it.agent.cancelled.includes(stranger));
    assert.deepEqual(new Set(it.agent.cancelled), new Set([over.id, stranger]));
    assert.ok(!it.agent.cancelled.includes(kept.id));
  });

  test('a guest that does not listen yet is told again', async () => {
    await using it = await bench();
    const stranger = 'task_00000000000000000000';
    const request = { id: stranger, prompt: 'of the box it came from', files: {}, options: {} };
    it.agent.journals.set(stranger, { request, lines: [], state: 'running', lastSeq: 1 });
    let refused = 0;
    it.agent.misbehave = (_, response) => {
      refused += 1;
      if (refused === 3) it.agent.misbehave = undefined;
      response.writeHead(401).end();
    };
    it.boxes.lose('box');
    it.reboot();
    await until(() => it.agent.cancelled.includes(stranger));
    assert.equal(refused, 3);
  });

  test('before a task, with nothing else at work, what is asked for is done; a rollback in the middle of it leaves the task undone', async () => {
    const before: string[] = [];
    let rollBack = false;
    await using it = await bench({
      beforeTask: async (box, taskId) => {
        before.push(taskId);
        if (rollBack) it.tasks.rolledBack(box.id);
      },
    });
    const first = await it.tasks.start('box', hello);
    const queued = await it.tasks.start('box', hello);
    assert.deepEqual(before, [first.id], 'the second waits for the first');
    for (const { id } of [first, queued]) {
      await until(() => it.agent.journals.has(id));
      it.agent.emit(id, done);
    }
    await until(() => it.tasks.counts('box').running + it.tasks.counts('box').queued === 0);
    rollBack = true;
    const { posts } = it.agent;
    const undone = await it.tasks.start('box', hello);
    assert.equal(undone.state, 'interrupted');
    assert.equal(it.agent.posts, posts, 'the guest never heard of it');
  });
});
