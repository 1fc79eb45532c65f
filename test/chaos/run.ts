import { Coverage } from './coverage.ts';
import type { Driver } from './daemon.ts';
import type { Options } from './options.ts';
import { seedOfRound } from './random.ts';
import { type HostOfRound, type RoundResult, Suite } from './suite.ts';

/** Told of each round as it ends. */
export type Listener = (driver: Driver, number: number, result: RoundResult) => void;

/** What a whole run came to. */
export interface RunReport {
  readonly results: readonly RoundResult[];
  readonly coverage: Coverage;
}

/** How often the sweep goes over the steps that are missing: not every round comes to each of its own. */
const sweepTries = 8;
/** Steps that one round of the sweep is for in its first tries; later each has a round for itself. */
const sweepSteps = 8;
const sharedTries = 2;
/** Of its tries, by turns. */
const hostsOfSweep: readonly HostOfRound[] = ['new', 'prepared'];

interface Job {
  readonly number: number;
  readonly seed: string;
  /** The steps before which a daemon is to die. */
  readonly before: readonly string[];
  readonly host: HostOfRound;
}

/** All rounds of both drivers, until the signal says that no other is to begin; real machines one host after the other, hosts of the double at the same time. */
export async function run(options: Options, listener: Listener, signal?: AbortSignal): Promise<RunReport> {
  const end = performance.now() + options.forMs;
  const results: RoundResult[] = [];
  const coverage = new Coverage();
  let failed = false;
  const over = (): boolean => signal?.aborted === true || performance.now() > end || (failed && !options.keepGoing);

  function* jobs(driver: Driver): Generator<Job, undefined> {
    let number = 0;
    const next = (): Pick<Job, 'number' | 'seed'> => ({ number, seed: seedOfRound(options.seed, number++) });
    while (number < options.rounds[driver]) yield { ...next(), before: options.before, host: options.host };
    if (!options.sweep || number === 0) return;
    for (let tries = 0; tries < sweepTries; tries += 1) {
      const tried = new Set<string>();
      for (;;) {
        const missing = coverage.missing.filter((name) => !tried.has(name)).slice(0, tries < sharedTries ? sweepSteps : 1);
        const [first] = missing;
        if (first === undefined) break;
        for (const name of missing) tried.add(name);
        // Some steps only clear up after a death: it comes first then.
        const causes = missing.flatMap((name) => coverage.cause(name, tries) ?? []);
        const job = { ...next(), before: [...new Set([...missing, ...causes])], host: hostsOfSweep[tries % 2] ?? 'new' };
        // The operations that have led to a step once may do so again; on a new host, since the one they were done on knows their keys.
        const seed = tries < sharedTries ? undefined : coverage.seed(driver, first, tries);
        yield seed === undefined ? job : { ...job, seed };
      }
    }
  }

  async function worker(driver: Driver, left: Generator<Job, undefined>): Promise<void> {
    await using suite = await Suite.start(driver);
    for (const { number, seed, before, host } of left) {
      if (over()) return;
      const result = await suite.round(seed, before, host);
      results.push(result);
      coverage.add(driver, result);
      failed ||= result.failure !== undefined;
      listener(driver, number, result);
    }
  }

  for (const driver of ['double', 'qemu'] as const) {
    const left = jobs(driver);
    const workers = Math.min(driver === 'double' ? options.jobs : 1, options.rounds[driver]);
    await Promise.all(Array.from({ length: workers }, () => worker(driver, left)));
  }
  return { results, coverage };
}
