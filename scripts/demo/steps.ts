import { type Colours, Progress, duration } from '@citb/cli/render';

/** Steps of the demo, each told when it begins and how long it took. */
export class Steps {
  readonly #colours: Colours;
  readonly #signal: AbortSignal;
  readonly #took: { readonly name: string; readonly ms: number }[] = [];

  /** @param signal when it is aborted, no further step begins */
  constructor(colours: Colours, signal: AbortSignal) {
    this.#colours = colours;
    this.#signal = signal;
  }

  /** One step. `report` shows on one line, on a terminal, how far it is. @throws what the work throws */
  async run<T>(name: string, work: (report: (progress: string) => void) => Promise<T>): Promise<T> {
    const { bold, cyan, dim } = this.#colours;
    process.stdout.write(`\n${cyan('▸')} ${bold(name)}\n`);
    const began = performance.now();
    using progress = new Progress(process.stderr);
    this.#signal.throwIfAborted();
    const result = await work((text) => progress.show(dim(`  ${text} (${duration(performance.now() - began)})`)));
    this.#took.push({ name, ms: performance.now() - began });
    return result;
  }

  /** What each step took, and all of them. */
  summary(): string {
    const all = this.#took.reduce((sum, { ms }) => sum + ms, 0);
    const lines = [...this.#took, { name: 'all', ms: all }].map(({ name, ms }) => `  ${duration(ms).padStart(9)}  ${name}`);
    return this.#colours.dim(lines.join('\n'));
  }
}
