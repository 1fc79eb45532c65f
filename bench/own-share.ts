import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

/** Of one span of time, in ms: what of it the host waited for QEMU, what only for the guest, and what is left: its own share. */
export interface Shares {
  readonly qemu: number;
  readonly guest: number;
  readonly own: number;
}

interface Wait {
  readonly who: string;
  readonly from: number;
  readonly to: number;
}

/** Longer than it takes the daemon to write down what it noted, ms. */
const writtenMs = 200;

/**
 * Times in which a host daemon waited for others, noted inside it by `waits.preload.ts`. What it does while it waits costs a caller
 * nothing and does not count; its polling between two questions does.
 */
export class Waits {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    writeFileSync(path, '');
  }

  /** For the daemon's environment. */
  get environment(): Record<string, string> {
    const preload = new URL('waits.preload.ts', import.meta.url);
    return { CITB_BENCH_WAITS: this.#path, NODE_OPTIONS: `--import=${pathToFileURL(preload.pathname).href}` };
  }

  /** Runs `work`, which nothing else on this daemon goes beside. */
  async of(work: () => Promise<unknown>): Promise<Shares & { readonly ms: number }> {
    const from = now();
    await work();
    const to = now();
    await delay(writtenMs);
    const waits = readFileSync(this.#path, 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .map(([who = '', start, end]) => ({ who, from: Math.max(from, Number(start) / 1e6), to: Math.min(to, Number(end) / 1e6) }))
      .filter((wait) => wait.to > wait.from);
    const qemu = covered(waits.filter(({ who }) => who === 'qemu'));
    const all = covered(waits);
    if (qemu === 0) throw new Error('nothing was noted of waiting for QEMU');
    return { ms: to - from, qemu, guest: all - qemu, own: to - from - all };
  }
}

/** ms of the clock that all processes of a machine share. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Length of the union, ms. */
function covered(waits: readonly Wait[]): number {
  let sum = 0;
  let end = -Infinity;
  for (const { from, to } of waits.toSorted((a, b) => a.from - b.from)) {
    sum += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return sum;
}
