import { type ScriptedModel, startScriptedModel } from '@citb/testkit';
import { SeenRuns } from './check/leaks.ts';
import { openFiles, ownMemoryMib } from './check/processes.ts';
import { patience, until } from '../vm/harness.ts';
import { Client, jsonOf } from './client.ts';
import { Daemon, type DaemonSteps, type Driver } from './daemon.ts';
import { planOf } from './plan.ts';
import { Round, type RoundReport } from './round.ts';
import { diskMib, shapes } from './shapes.ts';

/** A round and what came of it. */
export interface RoundResult {
  readonly seed: string;
  readonly report: RoundReport;
  readonly ms: number;
  /** Of the daemon with no box left. */
  readonly openFiles: number;
  readonly memoryMib: number;
  readonly steps: DaemonSteps;
  /** The steps before which a daemon was to die. */
  readonly before: readonly string[];
  readonly host: HostOfRound;
  readonly failure?: { readonly error: Error; readonly history: readonly string[]; readonly log: string };
}

/**
 * Where a round is: on the host of the one before, or on a new one, which dies in its first start too; a prepared one has made a template by
 * then, which takes longer than a round in which it dies.
 */
export const hostsOfRounds = ['same', 'new', 'prepared'] as const;
export type HostOfRound = (typeof hostsOfRounds)[number];

/** Rounds of one driver, one after another on the same host. */
export class Suite implements AsyncDisposable {
  readonly #driver: Driver;
  readonly #model: ScriptedModel;
  readonly #runs = new SeenRuns();
  #daemon: Daemon;

  private constructor(driver: Driver, model: ScriptedModel, daemon: Daemon) {
    this.#driver = driver;
    this.#model = model;
    this.#daemon = daemon;
  }

  static async start(driver: Driver): Promise<Suite> {
    const model = await startScriptedModel({ port: 0 });
    return new Suite(driver, model, await Daemon.start(driver, model.url));
  }

  /**
   * @param before steps before each of which a daemon is to die, once
   * @param host where the round is
   */
  async round(seed: string, before: readonly string[], host: HostOfRound): Promise<RoundResult> {
    const began = performance.now();
    if (host !== 'same') await this.#fresh(before);
    const shape = shapes[this.#driver];
    const daemon = this.#daemon;
    const round = new Round(daemon, new Client(daemon), seed, shape, this.#runs, before);
    const prepared = host === 'prepared' ? makeTemplate(daemon, before.length) : Promise.resolve();
    const failure = await prepared
      .then(() => round.run(planOf(seed, shape)))
      .then(
        () => undefined,
        (error: unknown) => ({ error: error as Error, history: round.lanes.flatMap((lane) => lane.history), log: daemon.log }),
      );
    // Those of a new host's first start, too.
    const steps = daemon.takeSteps();
    const result = { seed, report: round.report, ms: performance.now() - began, host, before, steps };
    if (failure !== undefined) {
      // The next round begins on a host that nothing has happened to.
      await this.#fresh();
      return { ...result, openFiles: 0, memoryMib: 0, failure };
    }
    return { ...result, openFiles: openFiles(daemon.pid).length, memoryMib: ownMemoryMib(daemon.pid) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    await this.#model.close();
  }

  async #fresh(before: readonly string[] = []): Promise<void> {
    await this.#close();
    this.#daemon = await Daemon.start(this.#driver, this.#model.url, before);
  }

  async #close(): Promise<void> {
    await killAll(this.#daemon);
    await this.#daemon[Symbol.asyncDispose]();
  }
}

/**
 * Has a template made for boxes like those of the rounds. The daemon may die meanwhile: the next one makes it when a box asks for it again.
 * @param deaths how often that may be; each costs what was made so far
 */
async function makeTemplate(daemon: Daemon, deaths: number): Promise<void> {
  if (daemon.driver === 'double') return;
  const client = new Client(daemon);
  await until(
    'a template is ready',
    async () => {
      const { templates } = jsonOf<{ templates: { state: string }[] }>(await client.insist('GET', '/status'));
      if (templates.length === 0) await client.insist('POST', '/v1/boxes', { json: { runtime: 'bash', disk_mib: diskMib } });
      return templates.some(({ state }) => state === 'ready');
    },
    patience * (1 + deaths),
  );
  await killAll(daemon);
}

/** Ends all boxes, if the daemon lets it. */
async function killAll(daemon: Daemon): Promise<void> {
  const client = new Client(daemon);
  try {
    const answer = await client.insist('GET', '/v1/boxes?limit=1000');
    const { boxes } = JSON.parse(answer.body.toString()) as { boxes: { id: string }[] };
    for (const { id } of boxes) await client.insist('DELETE', `/v1/boxes/${id}`);
  } catch {
    // The daemon does not come up: what is left of its machines is told by the failure.
  }
}
