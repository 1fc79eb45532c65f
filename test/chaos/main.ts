import { readOptions, usage } from './options.ts';
import { roundLines, summaryLines } from './report.ts';
import { run } from './run.ts';

/** `npm run chaos`: many rounds, a line for each; ends with 1 when one of them did not hold. */
const say = (lines: readonly string[]): void => void process.stdout.write(lines.map((line) => `${line}\n`).join(''));

if (process.argv.includes('--help')) say([usage]);
else {
  const options = readOptions(process.argv.slice(2), process.env);
  say([`seed ${options.seed}: ${options.rounds.double} rounds on the double, ${options.rounds.qemu} on real machines`]);
  const stopping = new AbortController();
  process.on('SIGINT', () => {
    // A round leaves nothing behind only at its end.
    if (stopping.signal.aborted) process.exit(130);
    say(['Stopping when the rounds that run have ended. Once more to stop at once: their machines are left then.']);
    stopping.abort();
  });
  const report = await run(options, (driver, number, result) => say(roundLines(driver, number, result)), stopping.signal);
  say(summaryLines(options.seed, report));
  process.exitCode = report.results.some((result) => result.failure !== undefined) ? 1 : 0;
}
