import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Of one span of time, all in ms: what of it the host waited for QEMU, what only for the guest, and what is left: its own share. */
export interface Shares {
  readonly ms: number;
  readonly qemu: number;
  readonly guest: number;
  readonly own: number;
  /** Each wait by what it was for, and the host's own share before the first, between them and after the last. */
  readonly parts: ReadonlyMap<string, number>;
}

interface Wait {
  readonly from: number;
  readonly to: number;
  readonly whom: string;
  readonly what: string;
}

/** Longer than it takes the daemon to write down what it noted, ms. */
const writtenMs = 200;

/**
 * Times in which a host daemon waited for others, noted inside it by `waits.preload.ts`. What it does while it waits costs a caller
 * nothing and does not count; its pauses between two questions do.
 */
export class Waits {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    writeFileSync(path, '');
  }

  /** For the daemon's environment. */
  get environment(): Record<string, string> {
    return { CITB_BENCH_WAITS: this.#path, NODE_OPTIONS: `--import=${new URL('waits.preload.ts', import.meta.url).href}` };
  }

  /** Runs `work`, beside which this daemon must do nothing else. */
  async of(work: () => Promise<unknown>): Promise<Shares> {
    const from = now();
    await work();
    const to = now();
    await delay(writtenMs);
    const waits = readWaits(this.#path)
      .map((wait) => ({ ...wait, from: Math.max(from, wait.from), to: Math.min(to, wait.to) }))
      .filter((wait) => wait.to > wait.from);
    const qemu = covered(waits.filter(({ whom }) => whom === 'QEMU'));
    if (qemu === 0) throw new Error('nothing was noted of waiting for QEMU');
    const all = covered(waits);
    const own = to - from - all;
    return { ms: to - from, qemu, guest: all - qemu, own, parts: partsOf(waits, from, to, own) };
  }
}

function readWaits(path: string): Wait[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => {
    const [from, to, whom = '', ...what] = line.split(' ');
    return { from: Number(from) / 1e6, to: Number(to) / 1e6, whom, what: what.join(' ') };
  });
}

function partsOf(waits: readonly Wait[], from: number, to: number, own: number): Map<string, number> {
  const first = Math.min(...waits.map((wait) => wait.from)) - from;
  const last = to - Math.max(...waits.map((wait) => wait.to));
  const parts = new Map([
    ['host, before', first],
    ['host, between', own - first - last],
    ['host, after', last],
  ]);
  for (const wait of waits) {
    const name = `${wait.whom}: ${wait.what}`;
    parts.set(name, (parts.get(name) ?? 0) + wait.to - wait.from);
  }
  return parts;
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
