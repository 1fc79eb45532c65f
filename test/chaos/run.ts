import type { Driver } from './daemon.ts';
import type { Options } from './options.ts';
import { seedOfRound } from './random.ts';
import { type HostOfRound, type RoundResult, Suite } from './suite.ts';

/** Told of each round as it ends. */
export type Listener = (driver: Driver, number: number, result: RoundResult) => void;

/** What a whole run came to. */
export interface RunReport {
  readonly results: readonly RoundResult[];
  /** Names of the steps that daemons came to. */
  readonly passed: ReadonlySet<string>;
  /** Names of the steps before which daemons killed themselves, one for each death. */
  readonly diedBefore: readonly string[];
}

/** How often the sweep goes over the steps that are missing: not every round comes to each of its own. */
const sweepTries = 4;
/** Steps that one round of the sweep is for. */
const sweepSteps = 8;

interface Job {
  readonly number: number;
  /** The steps before which a daemon is to die. */
  readonly before: readonly string[];
  readonly host: HostOfRound;
}

/** All rounds of both drivers, until the signal says that no other is to begin; real machines one host after the other, hosts of the double at the same time. */
export async function run(options: Options, listener: Listener, signal?: AbortSignal): Promise<RunReport> {
  const end = performance.now() + options.forMs;
  const results: RoundResult[] = [];
  const passed = new Set<string>();
  const diedBefore: string[] = [];
  let failed = false;
  const over = (): boolean => signal?.aborted === true || performance.now() > end || (failed && !options.keepGoing);

  function* jobs(driver: Driver): Generator<Job, undefined> {
    let number = 0;
    while (number < options.rounds[driver])
      yield { number: number++, before: options.before, host: options.before.length > 0 ? 'prepared' : 'same' };
    if (!options.sweep || number === 0) return;
    for (let tries = 0; tries < sweepTries; tries += 1) {
      const tried = new Set<string>();
      for (;;) {
        const before = [...passed].filter((name) => !diedBefore.includes(name) && !tried.has(name)).slice(0, sweepSteps);
        if (before.length === 0) break;
        for (const name of before) tried.add(name);
        yield { number: number++, before, host: tries % 2 === 0 ? 'new' : 'prepared' };
      }
    }
  }

  async function worker(driver: Driver, left: Generator<Job, undefined>): Promise<void> {
    await using suite = await Suite.start(driver);
    for (const { number, before, host } of left) {
      if (over()) return;
      const result = await suite.round(seedOfRound(options.seed, number), before, host);
      results.push(result);
      for (const name of result.passed) passed.add(name);
      diedBefore.push(...result.diedBefore);
      failed ||= result.failure !== undefined;
      listener(driver, number, result);
    }
  }

  for (const driver of ['double', 'qemu'] as const) {
    const left = jobs(driver);
    const workers = Math.min(driver === 'double' ? options.jobs : 1, options.rounds[driver]);
    await Promise.all(Array.from({ length: workers }, () => worker(driver, left)));
  }
  return { results, passed, diedBefore };
}
