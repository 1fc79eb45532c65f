import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { suite, test } from 'node:test';
import type { LogLine } from '@citb/api';
import { Store } from '../store.ts';
import type { Vm } from '../vmm/vmm.ts';
import { BoxLogs } from './box-logs.ts';
import { LineRing } from './line-ring.ts';
import { LineSplitter, printable } from './line-splitter.ts';

const never = new AbortController().signal;

async function lines(stream: AsyncIterable<LogLine>): Promise<string[]> {
  const found: string[] = [];
  for await (const line of stream) found.push(`${line.source}: ${line.line}`);
  return found;
}

suite('the log of a box', () => {
  test('console and notes in the order they came; the last lines only, when asked', async () => {
    const logs = new BoxLogs(new Store(':memory:'), () => 0);
    const console = new EventEmitter();
    const vm = {
      console: () => 'from before\nhalf a ',
      onConsole: (listener: (text: string) => void) => {
        console.on('text', listener);
        return () => console.off('text', listener);
      },
    } as unknown as Vm;
    logs.attach('b', vm);
    console.emit('text', 'line\nnext\n');
    logs.note('b', 'noted\u001B[2J by the host');
    assert.deepEqual(await lines(logs.read('b', { tail: 10, follow: false, signal: never })), [
      'console: from before',
      'console: half a line',
      'console: next',
      'host: noted by the host',
    ]);
    assert.deepEqual(await lines(logs.read('b', { tail: 1, follow: false, signal: never })), ['host: noted by the host']);
  });

  test('following ends with the box, and with its signal', async () => {
    const logs = new BoxLogs(new Store(':memory:'), () => 0);
    logs.note('b', 'one');
    const follow = lines(logs.read('b', { tail: 10, follow: true, signal: never }));
    logs.note('b', 'two');
    logs.forget('b');
    assert.deepEqual(await follow, ['host: one', 'host: two']);
    const abort = new AbortController();
    const aborted = lines(logs.read('b', { tail: 10, follow: true, signal: abort.signal }));
    await Promise.resolve();
    abort.abort();
    assert.deepEqual(await aborted, []);
  });

  test('notes are bounded in the database', () => {
    const store = new Store(':memory:');
    const logs = new BoxLogs(store, () => 0);
    for (let n = 0; n < 700; n += 1) logs.note('b', `note ${n}`);
    const row = store.db.prepare('SELECT count(*) AS n, min(line) AS first FROM box_notes').get();
    assert.deepEqual({ ...row }, { n: 500, first: 'note 200' });
  });

  test('a guest that floods its console fills nothing', async () => {
    const ring = new LineRing(10_000);
    const splitter = new LineSplitter((line) => ring.push({ ts: '', source: 'console', line }));
    for (let n = 0; n < 1000; n += 1) splitter.push('x'.repeat(1000));
    splitter.push('\n'.repeat(5000));
    splitter.push('end\n');
    const kept = await lines(ring.read({ tail: 10_000, follow: false, signal: never }));
    assert.ok(kept.join('').length < 12_000);
    assert.equal(kept.at(-1), 'console: end');
  });

  test('what a guest writes is harmless on a terminal', () => {
    assert.equal(printable('\u001B[31mred\u001B[0m\u001B]0;title\u0007 a\tb\r\u0000\u202E'), 'red a b');
    assert.equal(printable('lone \uD800 surrogate'), 'lone \uFFFD surrogate');
  });
});
