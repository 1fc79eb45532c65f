import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewTaskEvent, TaskEvent } from '@citb/api';
import { Store } from '../store.ts';
import { done, text } from './bench.double.ts';
import { TaskHub } from './hub.ts';
import { createRecorder, type EventBounds } from './record.ts';
import { createTaskTable } from './table.ts';

const id = 'task_00000000000000000000';
const delta: NewTaskEvent = { type: 'text_delta', content: 'x', index: 0 };

function bench(bounds: EventBounds) {
  const store = new Store(':memory:');
  const table = createTaskTable(store);
  const record = createRecorder(store, table, new TaskHub(), () => new Date(), bounds);
  table.add({ id, boxId: 'box', conversation: 'main', prompt: '', created: new Date().toISOString(), request: '{}' });
  let guestSeq = 0;
  return {
    table,
    /** Events of the guest, in one batch. */
    record: (...events: NewTaskEvent[]) =>
      record(
        id,
        events.map((event) => ({ event, guestSeq: (guestSeq += 1) })),
      ),
    types(): TaskEvent['type'][] {
      const row = table.find(id);
      return row === undefined ? [] : table.events(row, 0).map(({ type }) => type);
    },
  };
}

test('a task with too many events loses its deltas first, says so once, and always keeps its end', () => {
  const it = bench({ events: 8, bytes: 1_000_000 });
  it.record(...Array.from({ length: 50 }, () => delta), text('whole'), text('too much'), done);
  assert.deepEqual(it.types(), [...Array.from({ length: 6 }, () => 'text_delta'), 'status', 'text', 'completion']);
  assert.equal(it.table.find(id)?.state, 'done');
});

test('the bytes of a task are bounded too', () => {
  const it = bench({ events: 1000, bytes: 10_000 });
  it.record(...Array.from({ length: 50 }, () => text('y'.repeat(900))), done);
  assert.deepEqual(it.types(), [...Array.from({ length: 11 }, () => 'text'), 'status', 'completion']);
});

test('nothing is recorded after the end, nor for a task that is gone', () => {
  const it = bench({ events: 100, bytes: 10_000 });
  assert.deepEqual(it.record(text('1'), done, text('late')), { state: 'ended', added: 2 });
  assert.deepEqual(it.record(text('later')), { state: 'ended', added: 0 });
  it.table.remove(id);
  assert.deepEqual(it.record(text('last')), { state: 'gone', added: 0 });
});

test('the state, the times and the usage of a task follow its events', () => {
  const it = bench({ events: 100, bytes: 10_000 });
  it.record({ type: 'status', content: { status: 'queued' } });
  assert.equal(it.table.find(id)?.state, 'queued');
  it.record({ type: 'status', content: { status: 'started' } });
  assert.equal(it.table.find(id)?.state, 'running');
  const usage = { input_tokens: 1, output_tokens: 2, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  it.record({ type: 'usage', content: { ...usage, cost_usd: 0.5, num_turns: 1, duration_ms: 10 } }, done);
  const row = it.table.find(id);
  assert.equal(row?.outcome, 'done');
  assert.equal(row?.result, 'Done!');
  assert.match(row?.usage ?? '', /"cost_usd":0.5/);
  assert.ok(row?.started !== null && row?.ended !== null);
});
