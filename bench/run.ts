import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Runtime } from '@citb/api';
import { bootAlone } from './qemu-alone.ts';
import { BenchDaemon } from './daemon.ts';
import { median, timed } from './measure.ts';
import { Waits } from './own-share.ts';

/** Times a box of each runtime is booted cold, at most: it takes seconds, and the ratio to a clone is not near its target. */
const coldRounds = 3;

export interface Cold {
  /** Median of `POST /v1/boxes`, ms. */
  readonly ms: number;
  /** What its VMM holds for itself, MiB. */
  readonly memoryMib: number;
}

/** One run of the benchmark: what several parts need is made or measured once, when the first of them asks. */
export class Run implements AsyncDisposable {
  readonly samples: number;
  /** Whose boxes are measured, where it is each runtime's. */
  readonly runtimes: readonly Runtime[];
  readonly signal: AbortSignal;
  readonly #stack = new AsyncDisposableStack();
  #alone: Promise<number> | undefined;
  #cold: Promise<ReadonlyMap<string, Cold>> | undefined;
  #cloning: Promise<{ daemon: BenchDaemon; waits: Waits }> | undefined;

  constructor({ samples, runtimes }: { samples: number; runtimes: readonly Runtime[] }, signal: AbortSignal) {
    this.samples = samples;
    this.runtimes = runtimes;
    this.signal = signal;
  }

  tell(what: string): void {
    this.signal.throwIfAborted();
    console.error(`${what} ...`);
  }

  /** ms of QEMU with the product's kernel and nothing else. */
  alone(): Promise<number> {
    this.tell('QEMU alone: kernel to the first line of the guest');
    this.#alone ??= bootAlone();
    return this.#alone;
  }

  /** A daemon whose boxes boot, until the part that asked is over. */
  booting(): Promise<BenchDaemon> {
    return BenchDaemon.start({ CITB_TEMPLATES: '0' }, this.signal);
  }

  /** A daemon whose boxes are clones, and in which its waiting is noted; the same for all parts. */
  cloning(): Promise<{ daemon: BenchDaemon; waits: Waits }> {
    this.#cloning ??= this.#startCloning();
    return this.#cloning;
  }

  async #startCloning(): Promise<{ daemon: BenchDaemon; waits: Waits }> {
    const folder = mkdtempSync(join(tmpdir(), 'citb-waits-'));
    this.#stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const waits = new Waits(join(folder, 'waits'));
    const daemon = this.#stack.use(
      await BenchDaemon.start({ CITB_TEMPLATES: '1', CITB_MEMORY_OVERSUBSCRIPTION: '2', ...waits.environment }, this.signal),
    );
    await daemon.quiet();
    return { daemon, waits };
  }

  /** Resolves when boxes of a runtime are clones there. */
  async templateOf(runtime: string): Promise<void> {
    const { daemon } = await this.cloning();
    this.tell(`The template of ${runtime}`);
    await daemon.templateOf(runtime);
  }

  cold(): Promise<ReadonlyMap<string, Cold>> {
    this.#cold ??= this.#measureCold();
    return this.#cold;
  }

  async #measureCold(): Promise<ReadonlyMap<string, Cold>> {
    await using daemon = await this.booting();
    const found = new Map<string, Cold>();
    const rounds = Math.min(coldRounds, this.samples);
    for (const runtime of this.runtimes) {
      const samples: number[] = [];
      let memoryMib = 0;
      for (let round = 1; round <= rounds; round++) {
        this.tell(`Cold create of ${runtime}, ${round} of ${rounds}`);
        const { ms, value: box } = await timed(() => daemon.create({ runtime }));
        samples.push(ms);
        const status = await daemon.json<{ boxes: { memory_used_mib: number | null }[] }>('GET', '/status');
        memoryMib = status.boxes[0]?.memory_used_mib ?? 0;
        await daemon.kill(box.id);
      }
      found.set(runtime, { ms: median(samples), memoryMib });
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
