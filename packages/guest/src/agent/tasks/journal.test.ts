import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { type NewTaskEvent, type TaskEvent, taskEvent } from '@citb/api';
import { status } from '../events/mapping.ts';
import { Journal } from './journal.ts';
import { Journals } from './journals.ts';

const completion: NewTaskEvent = { type: 'completion', content: 'Done.', outcome: 'done', stop_reason: null };
const noRoom = (): boolean => false;

async function read(journal: Journal, after = 0): Promise<TaskEvent[]> {
  let text = '';
  for await (const line of journal.lines(after, 10_000)) text += line.toString();
  return text.split('\n').flatMap((line) => (line === '' ? [] : [taskEvent.parse(JSON.parse(line))]));
}

suite('the journal of a task', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'citb-journal-'));
    path = join(folder, 'journal.ndjson');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test('a reader gets what is there, then what comes, and ends with the completion', async () => {
    const journal = Journal.create(path, noRoom);
    journal.append(status('one'));
    const reading = read(journal);
    journal.append(status('two'));
    await journal.end(completion);
    assert.deepEqual(
      (await reading).map((event) => event.seq),
      [1, 2, 3],
    );
    assert.deepEqual(
      (await read(journal, 1)).map((event) => event.seq),
      [2, 3],
    );
    assert.deepEqual(await read(journal, 3), []);
  });

  test('nothing comes after the completion', async () => {
    const journal = Journal.create(path, noRoom);
    await journal.end(completion);
    journal.append(status('late'));
    await journal.end(completion);
    assert.equal((await read(journal)).length, 1);
  });

  test('a quiet stream carries empty lines', async () => {
    const journal = Journal.create(path, noRoom);
    for await (const line of journal.lines(0, 10)) {
      assert.equal(line, '\n');
      break;
    }
    journal.close();
  });

  test('many readers at once, each at its own place', async () => {
    const journal = Journal.create(path, noRoom);
    const readers = Array.from({ length: 10 }, (_, index) => read(journal, index * 100));
    for (let n = 0; n < 2000; n += 1) journal.append({ type: 'text_delta', content: 'x'.repeat(n % 700), index: 0 });
    await journal.end(completion);
    for (const [index, events] of (await Promise.all(readers)).entries()) {
      assert.equal(events.length, 2001 - index * 100);
      assert.equal(events[0]?.seq, index * 100 + 1);
    }
  });

  test('half a line left by a crash is cut off, and numbers go on', async () => {
    const journal = Journal.create(path, noRoom);
    journal.append(status('one'));
    journal.append({ type: 'text', content: 'ü'.repeat(100_000) });
    journal.close();
    await appendFile(path, '{"seq":3,"ts":"2026-');
    const again = Journal.open(path, noRoom);
    assert.equal(again.lastSeq, 2);
    assert.equal(again.ended, false);
    await again.end(completion);
    assert.deepEqual(
      (await read(again)).map((event) => event.seq),
      [1, 2, 3],
    );
    assert.equal(Journal.open(path, noRoom).ended, true);
  });

  test('beyond its bounds only the end is kept, after a status that says so', async () => {
    const journal = Journal.create(path, noRoom, { events: 10, bytes: 1e6 });
    for (let n = 0; n < 100; n += 1) journal.append({ type: 'text_delta', content: 'x', index: 0 });
    journal.append({ type: 'error', content: { code: 'some', message: 'thing' } });
    await journal.end(completion);
    const events = await read(journal);
    assert.equal(events.length, 13);
    assert.deepEqual(events[10]?.type === 'status' && events[10].content.status, 'truncated');
    assert.deepEqual(
      events.slice(11).map((event) => event.type),
      ['error', 'completion'],
    );
  });

  test('when the disk takes nothing, readers that are there still get all', async () => {
    let asked = 0;
    // The kernel's device that is always full.
    const journal = Journal.open('/dev/full', () => {
      asked += 1;
      return asked < 3;
    });
    journal.append(status('one'));
    assert.equal((journal.failure as NodeJS.ErrnoException).code, 'ENOSPC');
    assert.equal(asked, 3);
    const reading = read(journal);
    await assert.rejects(journal.end(completion));
    assert.deepEqual(
      (await reading).map((event) => event.type),
      ['status', 'completion'],
    );
  });

  test('the folder numbers tasks in their order, and gives room by its reserve, then by its oldest ended one', async () => {
    const gone: string[] = [];
    const journals = new Journals(join(folder, 'tasks'), (id) => gone.push(id));
    assert.deepEqual(journals.load(), []);
    const ids = ['a', 'b'].map((letter) => `task_${letter.repeat(20)}`);
    for (const id of ids) {
      const entry = await journals.create(id);
      await entry.journal.end(completion);
      journals.ended(entry);
    }
    assert.deepEqual(
      new Journals(join(folder, 'tasks'), () => undefined).load().map((entry) => [entry.order, entry.id]),
      [
        [1, ids[0]],
        [2, ids[1]],
      ],
    );
    assert.equal(journals.makeRoom(), true);
    assert.deepEqual(gone, []);
    assert.equal(journals.makeRoom(), true);
    assert.equal(journals.makeRoom(), true);
    assert.deepEqual(gone, ids);
    assert.equal(journals.makeRoom(), false);
    assert.deepEqual(await readdir(join(folder, 'tasks')), []);
  });
});
