import type { Driver } from './daemon.ts';
import type { Options } from './options.ts';
import { seedOfRound } from './random.ts';
import { type HostOfRound, type RoundResult, Suite } from './suite.ts';

/** Told of each round as it ends. */
export type Listener = (driver: Driver, number: number, result: RoundResult) => void;

/** What a whole run came to. */
export interface RunReport {
  readonly results: readonly RoundResult[];
  /** Names of the steps that daemons came to, each with those before which their predecessors had died. */
  readonly passed: ReadonlyMap<string, ReadonlySet<string>>;
  /** Names of the steps before which daemons killed themselves, one for each death. */
  readonly diedBefore: readonly string[];
}

/** How often the sweep goes over the steps that are missing: not every round comes to each of its own. */
const sweepTries = 8;
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
  const passed = new Map<string, ReadonlySet<string>>();
  const diedBefore: string[] = [];
  let failed = false;
  const over = (): boolean => signal?.aborted === true || performance.now() > end || (failed && !options.keepGoing);

  function* jobs(driver: Driver): Generator<Job, undefined> {
    let number = 0;
    while (number < options.rounds[driver]) yield { number: number++, before: options.before, host: options.host };
    if (!options.sweep || number === 0) return;
    for (let tries = 0; tries < sweepTries; tries += 1) {
      const tried = new Set<string>();
      for (;;) {
        const missing = [...passed.keys()].filter((name) => !diedBefore.includes(name) && !tried.has(name)).slice(0, sweepSteps);
        if (missing.length === 0) break;
        for (const name of missing) tried.add(name);
        // Some steps only clear up after a death: it comes first then.
        const causes = missing.flatMap((name) => {
          const deaths = [...(passed.get(name) ?? [])];
          return deaths.length === 0 ? [] : [deaths[tries % deaths.length] ?? name];
        });
        yield { number: number++, before: [...new Set([...missing, ...causes])], host: tries % 2 === 0 ? 'new' : 'prepared' };
      }
    }
  }

  async function worker(driver: Driver, left: Generator<Job, undefined>): Promise<void> {
    await using suite = await Suite.start(driver);
    for (const { number, before, host } of left) {
      if (over()) return;
      const result = await suite.round(seedOfRound(options.seed, number), before, host);
      results.push(result);
      for (const [name, deaths] of result.passed) passed.set(name, deaths.union(passed.get(name) ?? new Set()));
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
