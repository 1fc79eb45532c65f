import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readOptions } from './options.ts';
import { roundLines, summaryLines } from './report.ts';
import { run } from './run.ts';

/** Fifty in all; what does not fit into this on a slow machine is left out. */
const rounds = { double: 47, qemu: 3 };
const minutes = { double: 5, qemu: 5 };

suite('whatever is killed, what was acknowledged is there and nothing else is', { timeout: 3_600_000 }, () => {
  for (const driver of ['double', 'qemu'] as const)
    test(`${rounds[driver]} rounds on ${driver === 'double' ? 'doubles of machines' : 'real machines'}`, async (context) => {
      const options = readOptions(
        ['--driver', driver, '--rounds', String(rounds[driver]), '--minutes', String(minutes[driver])],
        process.env,
      );
      const failures: string[] = [];
      const report = await run(options, (_driver, number, result) => {
        if (result.failure !== undefined) failures.push(roundLines(driver, number, result).join('\n'));
      });
      for (const line of summaryLines(options.seed, report)) context.diagnostic(line);
      assert.deepEqual(failures.join('\n'), '');
    });
});
