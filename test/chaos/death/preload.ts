import { flushCompileCache } from 'node:module';
import { nameSteps } from './named-steps.ts';
import { calm, said, type Wish, type WishMessage, wishVariable } from './wish.ts';

/** Loaded into a host daemon before all else: it dies when its parent wishes, with the step's name on its lips. */
let wish = JSON.parse(process.env[wishVariable] ?? '{}') as Wish;
delete process.env[wishVariable];
const seen = new Set<string>();
let last = '';

process.on('message', ({ die }: WishMessage) => {
  wish = die === null ? {} : { ...wish, ...die };
  if (die !== null) return;
  // Each part of a round is told anew what it came to.
  seen.clear();
  process.send?.(calm);
  // It will hardly come to an orderly end, at which this would be written.
  flushCompileCache();
});
// The parent is gone: nobody could end this daemon any more.
process.on('disconnect', () => process.exit(1));

nameSteps((name) => {
  const turn = turnOf(name);
  last = name;
  if (turn !== undefined) {
    process.stdout.write(`${said.diesBefore}${turn}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
  if (seen.has(name)) return;
  seen.add(name);
  process.stdout.write(`${said.passes}${name}\n`);
});

/** The wish that this step fulfils. */
function turnOf(name: string): string | undefined {
  const named = [name, `${last} > ${name}`].find((each) => wish.before?.includes(each));
  if (wish.in === undefined) return named;
  const left = wish.in - 1;
  wish = { ...wish, in: left };
  return named ?? (left <= 0 ? name : undefined);
}
