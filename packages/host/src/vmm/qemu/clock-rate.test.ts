import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tscParameter } from './clock-rate.ts';

test('the counter of a virtual host runs at the speed that /proc/cpuinfo gives', () => {
  assert.equal(tscParameter('flags\t\t: fpu tsc constant_tsc\ncpu MHz\t\t: 2596.138\n'), ' tsc=reliable tsc_early_khz=2596138');
});

test('nothing is said where "cpu MHz" is the speed of the moment, or missing', () => {
  assert.equal(tscParameter('cpu MHz\t\t: 800.000\nflags\t\t: fpu aperfmperf\n'), '');
  assert.equal(tscParameter('processor : 0\n'), '');
});
