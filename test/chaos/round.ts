import { setTimeout as sleep } from 'node:timers/promises';
import type { KnownBox } from './box.ts';
import { checkContents } from './check/contents.ts';
import { readDatabase } from './check/database.ts';
import { leaksOf, type SeenRuns } from './check/leaks.ts';
import { openFiles, ownMemoryMib } from './check/processes.ts';
import { type Client, jsonOf } from './client.ts';
import type { Daemon } from './daemon.ts';
import { strike } from './faults.ts';
import { Lane } from './lane.ts';
import type { Phase, Shape } from './plan.ts';
import { Violation } from './violation.ts';

/** How long anything may take to come right, ms: generous, since it only ends what never does. */
const deadlineMs = 240_000;
/** What is on its way when all is compared must be gone within this, ms: sooner than maintenance, every 60 s, would hide it. */
const leakMs = 20_000;
/** And states that were told must be those that are listed, ms. */
const settleMs = 5000;

/** Three times what a daemon has after its start. */
const maxOpenFiles = 120;
const maxMemoryMib = 400;

/** What a round did. */
export interface RoundReport {
  operations: number;
  checks: number;
  readonly kills: Record<string, number>;
  /** How often the boxes that lived to its end have slept, by why. */
  sleeps: Readonly<Record<string, number>>;
}

/** One round: from an empty host through all phases to an empty host. @throws Violation */
export class Round {
  readonly report: RoundReport = { operations: 0, checks: 0, kills: {}, sleeps: {} };
  readonly lanes: Lane[];
  readonly #daemon: Daemon;
  readonly #client: Client;
  readonly #runs: SeenRuns;
  readonly #before: readonly string[];

  /** @param before steps before each of which the daemon is to die once */
  constructor(daemon: Daemon, client: Client, seed: string, { lanes, idleS }: Shape, runs: SeenRuns, before: readonly string[]) {
    this.#daemon = daemon;
    this.#client = client;
    this.#runs = runs;
    this.#before = before;
    this.lanes = lanes.map((_, lane) => new Lane(client, daemon.dataDir, `${seed}-${lane}`, idleS));
  }

  async run(phases: readonly Phase[]): Promise<void> {
    for (const [number, phase] of phases.entries()) {
      this.#wish();
      await this.#work(phase);
      await this.#compare(`phase ${number}`);
    }
    this.report.sleeps = readDatabase(this.#daemon.dataDir, (database) => database.sleeps());
    for (const lane of this.lanes) for (const which of lane.boxes.keys()) await lane.kill(which);
    await this.#checkLeaks();
    this.#checkDaemon();
    this.report.checks += 1;
  }

  /** With no box left the daemon holds what it does at its start, and the connections of its callers. */
  #checkDaemon(): void {
    const { pid } = this.#daemon;
    const files = openFiles(pid);
    if (files.length > maxOpenFiles) throw new Violation(`the daemon has ${files.length} files open with no box left: ${files.join(' ')}`);
    const mib = ownMemoryMib(pid);
    if (mib > maxMemoryMib) throw new Violation(`the daemon has ${Math.round(mib)} MiB of memory with no box left`);
  }

  /** Has a daemon die before the steps that the round is for and before which none has died. */
  #wish(): void {
    const left = this.#before.filter((name) => !this.#daemon.diedBefore.includes(name));
    if (left.length === 0) return;
    for (const lane of this.lanes) lane.disturbed = true;
    this.#daemon.dieBefore(left);
  }

  async #work({ lanes, faults }: Phase): Promise<void> {
    const strikes: Promise<void>[] = [];
    const all = lanes.map(async (operations, number) => {
      const lane = this.lanes[number];
      for (const [index, operation] of operations.entries()) {
        for (const fault of faults) if (fault.lane === number && fault.operation === index) strikes.push(this.#strike(fault));
        await lane?.perform(operation);
        this.report.operations += 1;
      }
    });
    const failed = (await Promise.allSettled(all)).find((each) => each.status === 'rejected');
    await Promise.all(strikes);
    if (failed !== undefined) throw failed.reason as Error;
  }

  async #strike(fault: Phase['faults'][number]): Promise<void> {
    const lane = this.lanes[fault.lane];
    const struck = await strike(fault, this.#daemon, this.#client, this.lanes);
    lane?.history.push(`  kill ${JSON.stringify(fault)}${struck ? '' : ': there was none'}`);
    if (struck) this.report.kills[fault.victim] = (this.report.kills[fault.victim] ?? 0) + 1;
  }

  /** Waits until everything is calm, then compares all that was acknowledged with what is there. */
  async #compare(what: string): Promise<void> {
    // A daemon that was told to die at a step it did not come to may do so at any time.
    await this.#daemon.calm();
    const boxes = this.lanes.flatMap((lane) => [...lane.boxes.values()]);
    await this.#checkStates(boxes);
    await Promise.all(boxes.map((box) => this.#calm(box)));
    for (const lane of this.lanes) lane.disturbed = false;
    await Promise.all(
      boxes.map((box, n) => checkContents(this.#client, this.#daemon.dataDir, box, `mark-recall${n}${what.replaceAll(' ', '')}`)),
    );
    for (const box of boxes) {
      box.states = new Set(['running']);
      await this.#checkCheckpoints(box);
    }
    await this.#checkStates(boxes);
    await this.#checkLeaks();
    this.report.checks += 1;
  }

  /** A box may fall asleep or wake between the list and the look at its events: what is wrong stays so. */
  async #checkStates(boxes: readonly KnownBox[]): Promise<void> {
    const end = performance.now() + settleMs;
    for (;;) {
      try {
        return await this.#checkStatesOnce(boxes);
      } catch (error) {
        if (performance.now() > end) throw error;
        await sleep(100);
      }
    }
  }

  async #checkStatesOnce(boxes: readonly KnownBox[]): Promise<void> {
    const listed = jsonOf<{ boxes: { id: string; state: string; reason: string | null }[] }>(
      await this.#client.insist('GET', '/v1/boxes?limit=1000'),
    ).boxes;
    const asleep = readDatabase(this.#daemon.dataDir, (database) => database.asleepByThemselves());
    for (const { id } of listed)
      if (!boxes.some((box) => box.id === id)) throw new Violation(`there is a box ${id} that nobody was told of`);
    for (const box of boxes) {
      const found = listed.find((each) => each.id === box.id);
      if (found === undefined) throw new Violation(`the box ${box.id} is gone`);
      const fellAsleep = found.state === 'paused' && box.states.has('running') && asleep.has(box.id);
      if (!box.states.has(found.state) && !fellAsleep)
        throw new Violation(`the box ${box.id} is ${found.state} (${found.reason}) instead of ${[...box.states].join(' or ')}`);
    }
  }

  /** The box answers, all its services do, and its tasks have ended. */
  async #calm(box: KnownBox): Promise<void> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      const outcome = await this.#client.ask('GET', `/v1/boxes/${box.id}/files`);
      if (outcome?.code === 'ok') break;
      if (performance.now() > end) throw new Violation(`the box ${box.id} does not come back: ${outcome?.body.toString() ?? 'no answer'}`);
      await sleep(100);
    }
    const timer = new AbortController();
    const over = Promise.all(box.tasks.map((task) => task.over));
    const late = sleep(deadlineMs, undefined, { signal: timer.signal }).then(() => {
      throw new Violation(`tasks of ${box.id} do not end: ${JSON.stringify(box.tasks.map((task) => task.seen.at(-1)))}`);
    });
    late.catch(() => undefined);
    await Promise.race([over, late]);
    timer.abort();
  }

  async #checkCheckpoints(box: KnownBox): Promise<void> {
    const answer = await this.#client.insist('GET', `/v1/boxes/${box.id}/checkpoints`);
    const manual = jsonOf<{ checkpoints: { id: string; kind: string }[] }>(answer).checkpoints.filter((each) => each.kind === 'manual');
    for (const { id } of box.checkpoints)
      if (!manual.some((each) => each.id === id)) throw new Violation(`the checkpoint ${id} of ${box.id} is gone`);
    const more = manual.length - box.checkpoints.length;
    if (more > box.uncertainCheckpoints) throw new Violation(`${box.id} has ${more} checkpoints that nobody made`);
  }

  async #checkLeaks(): Promise<void> {
    const known = new Set(this.lanes.flatMap((lane) => [...lane.boxes.values()].map((box) => box.id)));
    const end = performance.now() + leakMs;
    for (;;) {
      const leaks = leaksOf(this.#daemon.dataDir, this.#daemon.pid, known, this.#runs);
      if (leaks.length === 0) return;
      if (performance.now() > end) throw new Violation(`left behind: ${leaks.join('; ')}`);
      await sleep(100);
    }
  }
}
