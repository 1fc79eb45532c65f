import type { Driver } from './daemon.ts';
import type { RoundResult } from './suite.ts';

/** What is known of a step by its name. */
interface KnownStep {
  /** Steps before which a daemon had died of whose successors one came to this one. */
  readonly after: Set<string>;
  /** Seeds of rounds in which a daemon came to it. */
  readonly seeds: Record<Driver, string[]>;
}

/** The steps that daemons came to in a run, and before which of them one has died. */
export class Coverage {
  readonly #steps = new Map<string, KnownStep>();
  readonly #died = new Set<string>();
  #deaths = 0;

  add(driver: Driver, { seed, steps: { passed, diedBefore } }: Pick<RoundResult, 'seed' | 'steps'>): void {
    for (const [name, deaths] of passed) {
      const known = this.#steps.get(name) ?? { after: new Set(), seeds: { double: [], qemu: [] } };
      this.#steps.set(name, known);
      for (const death of deaths) known.after.add(death);
      known.seeds[driver].push(seed);
    }
    for (const name of diedBefore) this.#died.add(name);
    this.#deaths += diedBefore.length;
  }

  /** How many different steps there are. */
  get size(): number {
    return this.#steps.size;
  }

  /** How often a daemon has died before a step. */
  get deaths(): number {
    return this.#deaths;
  }

  /** How many different steps a daemon has died before. */
  get died(): number {
    return this.#died.size;
  }

  /** Steps before which none has died. */
  get missing(): string[] {
    return [...this.#steps.keys()].filter((name) => !this.#died.has(name));
  }

  /** The n-th death that led to a step; undefined: it needs none. */
  cause(name: string, n: number): string | undefined {
    return nth([...(this.#steps.get(name)?.after ?? [])], n);
  }

  /** The seed of the n-th round that came to a step; undefined: none of this driver did. */
  seed(driver: Driver, name: string, n: number): string | undefined {
    return nth(this.#steps.get(name)?.seeds[driver] ?? [], n);
  }
}

/** From the first on again behind the last. */
function nth<T>(list: readonly T[], n: number): T | undefined {
  return list[n % Math.max(1, list.length)];
}
