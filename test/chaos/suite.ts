import { type ScriptedModel, startScriptedModel } from '@citb/testkit';
import { SeenRuns } from './check/leaks.ts';
import { openFiles, ownMemoryMib } from './check/processes.ts';
import { Client } from './client.ts';
import { Daemon, type Driver } from './daemon.ts';
import { planOf } from './plan.ts';
import { Round, type RoundReport } from './round.ts';
import { shapes } from './shapes.ts';

/** A round and what came of it. */
export interface RoundResult {
  readonly seed: string;
  readonly report: RoundReport;
  readonly ms: number;
  /** Of the daemon with no box left. */
  readonly openFiles: number;
  readonly memoryMib: number;
  readonly failure?: { readonly error: Error; readonly history: readonly string[]; readonly log: string };
}

/** Rounds of one driver, one after another on the same host. */
export class Suite implements AsyncDisposable {
  readonly #driver: Driver;
  readonly #model: ScriptedModel;
  readonly #runs = new SeenRuns();
  #daemon: Daemon;
  #over = false;
  /** Names of the steps before which daemons died. */
  readonly steps: string[] = [];

  private constructor(driver: Driver, model: ScriptedModel, daemon: Daemon) {
    this.#driver = driver;
    this.#model = model;
    this.#daemon = daemon;
  }

  static async start(driver: Driver): Promise<Suite> {
    const model = await startScriptedModel({ port: 0 });
    return new Suite(driver, model, await Daemon.start(driver, model.url));
  }

  async round(seed: string): Promise<RoundResult> {
    const began = performance.now();
    const shape = shapes[this.#driver];
    const daemon = this.#daemon;
    const round = new Round(daemon, new Client(daemon), seed, shape.lanes.length, this.#runs);
    const failure = await round.run(planOf(seed, shape)).then(
      () => undefined,
      (error: unknown) => ({ error: error as Error, history: round.lanes.flatMap((lane) => lane.history), log: daemon.log }),
    );
    const result = { seed, report: round.report, ms: performance.now() - began };
    if (failure !== undefined) {
      // The next round begins on a host that nothing has happened to.
      await this.#close();
      this.#daemon = await Daemon.start(this.#driver, this.#model.url);
      return { ...result, openFiles: 0, memoryMib: 0, failure };
    }
    return { ...result, openFiles: openFiles(daemon.pid).length, memoryMib: ownMemoryMib(daemon.pid) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#close();
    await this.#model.close();
  }

  async #close(): Promise<void> {
    this.steps.push(...this.#daemon.diedBefore);
    await killAll(this.#daemon);
    await this.#daemon[Symbol.asyncDispose]();
  }
}

/** Boxes that a failed round has left. */
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
