import { loadavg } from 'node:os';
import { readArguments, usage, type Wish } from './arguments.ts';
import { coldBoot } from './cold.ts';
import { createFromTemplate } from './create.ts';
import { density } from './density.ts';
import { latency } from './latency.ts';
import { Run } from './run.ts';
import { sleepAndFork } from './sleep.ts';
import { print, type Row } from './table.ts';
import { tasks } from './tasks.ts';
import { transfer } from './transfer.ts';

/** `npm run bench`: everything in one run on one machine, since only the ratios mean something elsewhere. */
const parts: Readonly<Record<string, { title: string; measure: (run: Run) => Promise<Row[]> }>> = {
  cold: { title: 'A box that boots', measure: coldBoot },
  create: { title: 'A box from a template', measure: createFromTemplate },
  sleep: { title: 'A box of 256 MiB (bash) that sleeps, wakes and is forked', measure: sleepAndFork },
  tasks: { title: 'Tasks', measure: tasks },
  transfer: { title: 'Files', measure: transfer },
  latency: { title: 'Latency that the host adds to an event of a task', measure: latency },
};

/** An interrupt ends what is measured; what was started is still taken down. */
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => {
    console.error('\nInterrupted: boxes are being killed, please wait.');
    interrupted.abort(new Error('interrupted'));
  });

try {
  const wish = wished();
  if (wish.do === 'help') console.log(usage(Object.keys(parts)));
  else await measure(wish);
} catch (error) {
  tell(error);
}

/** What went wrong, after which the benchmark does not end well. */
function tell(error: unknown): void {
  if (interrupted.signal.aborted) console.error('The benchmark was interrupted.');
  else console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exitCode = 1;
}

function wished(): Wish {
  try {
    return readArguments(process.argv.slice(2), Object.keys(parts));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
    return { do: 'help' };
  }
}

async function measure(wish: Exclude<Wish, { do: 'help' }>): Promise<void> {
  console.log(load('at the begin'));
  if (wish.do === 'density') {
    print('How many boxes fit', await density(wish, interrupted.signal));
  } else {
    await using run = new Run(wish, interrupted.signal);
    const chosen = Object.entries(parts).filter(([name]) => wish.only.length === 0 || wish.only.includes(name));
    for (const [name, { title, measure: part }] of chosen)
      try {
        print(`${title} (${name})`, await part(run));
      } catch (error) {
        // What is left can still be measured.
        if (interrupted.signal.aborted) throw error;
        tell(error);
        console.error(`${title} (${name}) could not be measured.`);
      }
  }
  console.log(`\n${load('at the end')}`);
}

/** Who measures beside others measures the others too. */
function load(when: string): string {
  const [one = 0, five = 0, fifteen = 0] = loadavg();
  const cores = `${navigator.hardwareConcurrency} cores`;
  return `Load ${when}: ${one.toFixed(2)}, ${five.toFixed(2)}, ${fifteen.toFixed(2)} processes (1, 5, 15 min) on ${cores}.`;
}
