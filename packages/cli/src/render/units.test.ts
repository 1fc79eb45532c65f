import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, duration, grouped, mebibytes } from './units.ts';

test('sizes and times read well at every scale', () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, 250 * 1024, 5 * 1024 ** 3].map(bytes), [
    '0 B',
    '1 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '250 KiB',
    '5.0 GiB',
  ]);
  assert.deepEqual([512, 5120].map(mebibytes), ['512 MiB', '5 GiB']);
  assert.deepEqual([5, 1500, 12_000, 125_000, 3_725_000, 100_000_000].map(duration), [
    '5 ms',
    '1.5 s',
    '12 s',
    '2 m 5 s',
    '1 h 2 m',
    '1 d 3 h',
  ]);
  assert.deepEqual([1, 1234, 1_234_567].map(grouped), ['1', '1 234', '1 234 567']);
});
