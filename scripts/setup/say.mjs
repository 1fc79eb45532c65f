/** A line for the person at the terminal; stdout belongs to the program that is run. */
export function say(message) {
  process.stderr.write(`${message}\n`);
}

/** Something that the person has to do, in a sentence. */
export class SetupError extends Error {}

/** A long step says that it goes on this often, in ms. */
const repeatMs = 10_000;

/** Does a step, and tells when it begins, that it goes on, and how long it took. */
export async function step(what, work) {
  const begun = performance.now();
  const seconds = () => `${Math.round((performance.now() - begun) / 1000)} s`;
  say(`${what} ...`);
  const timer = setInterval(() => say(`${what} ... ${seconds()}`), repeatMs);
  try {
    const result = await work();
    say(`${what}: done in ${seconds()}`);
    return result;
  } finally {
    clearInterval(timer);
  }
}
