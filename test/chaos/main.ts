import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Driver } from './daemon.ts';
import { seedOfRound } from './random.ts';
import { Suite } from './suite.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    driver: { type: 'string' },
    seed: { type: 'string', default: process.env['CITB_SEED'] ?? randomBytes(6).toString('hex') },
    minutes: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
  },
});
const seed = values.seed;
await using suite = await Suite.start((values.driver ?? 'double') as Driver);
let failures = 0;
for (let round = 0; round < Number(values.rounds); round += 1) {
  const result = await suite.round(seedOfRound(seed, round));
  console.log(
    round,
    result.seed,
    Math.round(result.ms),
    JSON.stringify(result.report),
    result.openFiles,
    Math.round(result.memoryMib),
    result.failure?.error.message ?? 'ok',
  );
  if (result.failure !== undefined) {
    failures += 1;
    console.log(result.failure.history.join('\n'));
    console.log(result.failure.log.slice(-3000));
    if (!(result.failure.error.name === 'Violation')) console.log(result.failure.error.stack);
    if (!values['keep-going']) break;
  }
}
console.log('failures', failures);
