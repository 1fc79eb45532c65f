import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Testbed } from './testbed.ts';

/** How often a guest is told who it is when each time takes so long, in ms. */
async function handOvers(ms: number): Promise<number> {
  using bed = new Testbed();
  bed.atStep = (name) => void (bed.now += name === 'init' ? ms : 0);
  await bed.daemon().boxes.create({ userId: 'ada', runtime: 'bash', envVars: {} });
  return bed.steps.filter((step) => step === 'init').length;
}

test('a guest that was told a time which was old when it came is told it again', async () => {
  const times = await Promise.all([50, 51, 2000, 2001].map(handOvers));
  assert.deepEqual(times, [1, 2, 2, 4]);
});
