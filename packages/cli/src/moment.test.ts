import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moment, seconds, secondsOrNever } from './moment.ts';

test('times are seconds, or have a unit', () => {
  assert.deepEqual(['0', '90', '90s', '10m', '2h', '7d'].map(seconds), [0, 90, 90, 600, 7200, 604_800]);
  assert.equal(secondsOrNever('never'), null);
  for (const bad of ['', 'x', '-1', '1.5h', '1w', '99999999999999999']) assert.throws(() => seconds(bad), /whole number/, bad);
});

test('a moment is a date, or a time from now', () => {
  assert.equal(moment('2026-01-31T12:00:00Z')?.toISOString(), '2026-01-31T12:00:00.000Z');
  assert.ok(Math.abs((moment('2h')?.getTime() ?? 0) - Date.now() - 7_200_000) < 5000);
  assert.equal(moment('no'), null);
  assert.throws(() => moment('soon'), /must be a date/);
});
