import { createHash } from 'node:crypto';

/** A source of chance that a seed repeats: SHA-256 of the seed and a counter. */
export class Random {
  readonly #seed: string;
  #count = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  /** A whole number of 0 up to but without `below`. */
  below(below: number): number {
    return (
      createHash('sha256')
        .update(`${this.#seed} ${this.#count++}`)
        .digest()
        .readUIntBE(0, 6) % below
    );
  }

  /** True with a chance of `n` in a hundred. */
  percent(n: number): boolean {
    return this.below(100) < n;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  /** By weight. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    const entries = Object.entries<number>(weights) as [T, number][];
    let left = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [name, weight] of entries) {
      if (left < weight) return name;
      left -= weight;
    }
    throw new Error('the weights are empty');
  }
}

/** The seed of the n-th round of a run; the first has the run's own, so that a failed round can be had alone. */
export function seedOfRound(seed: string, round: number): string {
  return round === 0 ? seed : createHash('sha256').update(`${seed} round ${round}`).digest('hex').slice(0, 12);
}
