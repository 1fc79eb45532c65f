import { flushCompileCache } from 'node:module';
import { nameSteps } from './named-steps.ts';
import { calm, said, type Wish, type WishMessage, wishVariable } from './wish.ts';

/** Loaded into a host daemon before all else: it dies when its parent wishes, with the step's name on its lips. */
let wish: Wish | null = JSON.parse(process.env[wishVariable] ?? 'null') as Wish | null;
delete process.env[wishVariable];
const seen = new Set<string>();
let last = '';

process.on('message', ({ die }: WishMessage) => {
  wish = die;
  if (die !== null) return;
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
  if (wish === null) return undefined;
  if ('before' in wish) {
    const { before } = wish;
    return [name, `${last} > ${name}`].find((each) => before.includes(each));
  }
  wish = { in: wish.in - 1 };
  return wish.in <= 0 ? name : undefined;
}
