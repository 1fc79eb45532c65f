import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Coverage } from './coverage.ts';

/** Steps that daemons came to, each with what led to it. */
function passed(...steps: [string, string[]][]): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map(steps.map(([name, deaths]) => [name, new Set(deaths)]));
}

test('a step is missing until a daemon has died before it; it is known what led to it, and which rounds came to it', () => {
  const coverage = new Coverage();
  coverage.add('double', { seed: 'a', steps: { passed: passed(['make', []], ['clear', ['make']]), diedBefore: ['make', 'make'] } });
  coverage.add('double', { seed: 'b', steps: { passed: passed(['clear', ['rename']]), diedBefore: [] } });
  assert.deepEqual([coverage.size, coverage.deaths, coverage.died, coverage.missing], [2, 2, 1, ['clear']]);
  assert.deepEqual(
    [0, 1, 2].map((n) => coverage.cause('clear', n)),
    ['make', 'rename', 'make'],
  );
  assert.deepEqual(
    [0, 1, 2].map((n) => coverage.seed('double', 'clear', n)),
    ['a', 'b', 'a'],
  );
  assert.deepEqual(
    [coverage.cause('make', 0), coverage.seed('qemu', 'clear', 0), coverage.seed('double', 'never', 3)],
    Array(3).fill(undefined),
  );
  coverage.add('qemu', { seed: 'c', steps: { passed: passed(['clear', []]), diedBefore: ['clear'] } });
  assert.deepEqual([coverage.missing, coverage.seed('qemu', 'clear', 5)], [[], 'c']);
});
