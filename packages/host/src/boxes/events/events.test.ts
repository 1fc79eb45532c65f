import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BoxEvent } from '@citb/api';
import { Store } from '../../store.ts';
import { BoxEvents } from './events.ts';

const never = new AbortController().signal;

async function readAll(events: AsyncIterable<BoxEvent | undefined>): Promise<BoxEvent[]> {
  const found: BoxEvent[] = [];
  for await (const event of events) if (event !== undefined) found.push(event);
  return found;
}

test('the last thousand are kept; numbers go on', async () => {
  const events = new BoxEvents(new Store(':memory:'), () => 0);
  for (let n = 1; n <= 1234; n += 1) events.add('box', 'updated', { n });
  events.add('other', 'created');
  const reading = readAll(events.read('box', 0, never));
  setImmediate(() => events.forget('box', true));
  const found = await reading;
  assert.deepEqual([found[0]?.seq, found.length, found.at(-1)?.seq, found.at(-1)?.type], [235, 1001, 1235, 'killed']);
  assert.deepEqual(found[0], { seq: 235, ts: '1970-01-01T00:00:00.000Z', type: 'updated', content: { n: 235 } });
});

test('readers at any place get each event once, also one that is slow', async () => {
  const events = new BoxEvents(new Store(':memory:'), () => 0);
  events.add('box', 'created');
  const readers = [0, 1, 5].map((after) => readAll(events.read('box', after, never)));
  const slow: number[] = [];
  const slowly = (async () => {
    for await (const event of events.read('box', 0, never)) {
      if (event !== undefined) slow.push(event.seq);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  for (let n = 2; n <= 50; n += 1) {
    events.add('box', 'updated');
    if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  while (slow.length < 50) await new Promise((resolve) => setTimeout(resolve, 5));
  events.forget('box', true);
  const numbers = (await Promise.all(readers)).map((found) => found.map(({ seq }) => seq));
  assert.deepEqual(
    numbers,
    [0, 1, 5].map((after) => Array.from({ length: 51 - after }, (_, index) => after + index + 1)),
  );
  await slowly;
  assert.equal(slow.at(-1), 51);
});

test('a reader leaves by its signal, and all of them when the host stops', async () => {
  const events = new BoxEvents(new Store(':memory:'), () => 0);
  events.add('box', 'created');
  const left = new AbortController();
  const one = readAll(events.read('box', 0, left.signal));
  const other = readAll(events.read('box', 0, never));
  await new Promise((resolve) => setImmediate(resolve));
  left.abort();
  assert.equal((await one).length, 1);
  events.close();
  assert.equal((await other).length, 1);
});

test('a box that nobody was told of leaves no trace', async () => {
  const store = new Store(':memory:');
  const events = new BoxEvents(store, () => 0);
  events.add('box', 'created');
  events.forget('box', false);
  assert.equal(store.db.prepare('SELECT count(*) AS n FROM box_events').get()?.['n'], 0);
});
