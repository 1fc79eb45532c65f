import type { Driver } from './daemon.ts';
import type { Options } from './options.ts';
import { seedOfRound } from './random.ts';
import { type RoundResult, Suite } from './suite.ts';

/** Told of each round as it ends. */
export type Listener = (driver: Driver, number: number, result: RoundResult) => void;

/** What a whole run came to. */
export interface RunReport {
  readonly results: readonly RoundResult[];
  /** Names of the steps before which daemons killed themselves, one for each death. */
  readonly steps: readonly string[];
}

/** All rounds of both drivers, until the signal says that no other is to begin; real machines one host after the other, hosts of the double at the same time. */
export async function run(options: Options, listener: Listener, signal?: AbortSignal): Promise<RunReport> {
  const end = performance.now() + options.forMs;
  const results: RoundResult[] = [];
  const steps: string[] = [];
  let failed = false;
  const over = (): boolean => signal?.aborted === true || performance.now() > end || (failed && !options.keepGoing);

  async function worker(driver: Driver, next: () => number | undefined): Promise<void> {
    await using suite = await Suite.start(driver);
    for (let number = next(); number !== undefined && !over(); number = next()) {
      const result = await suite.round(seedOfRound(options.seed, number));
      results.push(result);
      failed ||= result.failure !== undefined;
      listener(driver, number, result);
    }
    await suite[Symbol.asyncDispose]();
    steps.push(...suite.steps);
  }

  for (const driver of ['double', 'qemu'] as const) {
    let number = 0;
    const next = (): number | undefined => (number < options.rounds[driver] ? number++ : undefined);
    const jobs = Math.min(driver === 'double' ? options.jobs : 1, options.rounds[driver]);
    await Promise.all(Array.from({ length: jobs }, () => worker(driver, next)));
  }
  return { results, steps };
}
