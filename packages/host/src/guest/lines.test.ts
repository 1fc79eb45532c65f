import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { lineBatches } from './lines.ts';

async function* pieces(bytes: Buffer, size: () => number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const next = at + size();
    yield bytes.subarray(at, next);
    at = next;
  }
}

async function collect(stream: AsyncIterable<Buffer>, maxLine: number): Promise<{ lines: string[]; overlong: number }> {
  const lines: string[] = [];
  let overlong = 0;
  for await (const batch of lineBatches(stream, maxLine)) {
    lines.push(...batch.lines);
    overlong += batch.overlong;
  }
  return { lines, overlong };
}

test('lines are the same wherever the stream is cut; heartbeats and half a last line are not lines', async () => {
  const bytes = Buffer.from('one\n\n\u{1F600} two\n\n\nthree ü\nhalf');
  for (let round = 0; round < 100; round += 1) {
    assert.deepEqual(
      await collect(
        pieces(bytes, () => randomInt(1, 7)),
        100,
      ),
      { lines: ['one', '\u{1F600} two', 'three ü'], overlong: 0 },
    );
  }
});

test('a line is given out with the chunk that ends it', async () => {
  const batches: string[][] = [];
  const chunks = ['a\nb\nc', 'c\n', 'd'].map((text) => Buffer.from(text));
  for await (const { lines } of lineBatches(
    pieces(Buffer.concat(chunks), () => chunks[batches.length]?.length ?? 1),
    100,
  ))
    batches.push([...lines]);
  assert.deepEqual(batches, [['a', 'b'], ['cc'], []]);
});

test('a line without end costs no memory, is counted once, and what follows is read', async () => {
  const bytes = Buffer.concat([
    Buffer.alloc(300_000, 'x'),
    Buffer.from('\nafter\n'),
    Buffer.alloc(101, 'y'),
    Buffer.from('\n'),
    Buffer.alloc(100, 'z'),
    Buffer.from('\n'),
  ]);
  assert.deepEqual(
    await collect(
      pieces(bytes, () => 65_536),
      100,
    ),
    { lines: ['after', 'z'.repeat(100)], overlong: 2 },
  );
  assert.deepEqual(
    await collect(
      pieces(bytes, () => 3),
      100,
    ),
    { lines: ['after', 'z'.repeat(100)], overlong: 2 },
  );
});
