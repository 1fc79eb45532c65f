import type { Progress } from './images.ts';

/** A long step says that it goes on this often, in ms. */
const repeatMs = 10_000;

/** Does a step, and tells when it begins, that it goes on, and how long it took. */
export async function step<T>(progress: Progress, what: string, work: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - begun) / 1000)} s`;
  progress(`${what} ...`);
  const timer = setInterval(() => progress(`${what} ... ${seconds()}`), repeatMs);
  try {
    const result = await work();
    progress(`${what}: done in ${seconds()}`);
    return result;
  } finally {
    clearInterval(timer);
  }
}
