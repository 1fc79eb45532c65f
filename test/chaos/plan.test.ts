import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planOf } from './plan.ts';
import { seedOfRound } from './random.ts';
import { shapes } from './shapes.ts';

test('a seed says all that a round does, another seed says something else', () => {
  for (const shape of Object.values(shapes)) {
    assert.deepEqual(planOf('a', shape), planOf('a', shape));
    assert.notDeepEqual(planOf('a', shape), planOf('b', shape));
  }
});

test('a failed round is had again as the only one of a run with its seed', () => {
  const seed = seedOfRound('run', 17);
  assert.notEqual(seed, seedOfRound('run', 18));
  assert.equal(seedOfRound(seed, 0), seed);
});

test('every operation and every victim comes up', () => {
  const phases = Array.from({ length: 200 }, (_, n) => planOf(String(n), shapes.double)).flat();
  const kinds = new Set(phases.flatMap(({ lanes }) => lanes.flat().map(({ kind }) => kind)));
  const victims = new Set(phases.flatMap(({ faults }) => faults.map(({ victim }) => victim)));
  assert.equal(kinds.size, 18);
  assert.equal(victims.size, 6);
});
