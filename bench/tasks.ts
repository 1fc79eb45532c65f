import { completionOf } from '@citb/testkit';
import { duration, median, times, timed } from './measure.ts';
import { type TwoTasks, agentServerAlone, claudeAlone } from './native-tasks.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

const task = 'Create a Python script that prints hello world';
/** What a second task in an emulated machine may take of the time of a native one: of Claude Code's own, and of the same work without a machine. */
const target = 4;
/** Conversations of each kind, by turns: a task takes seconds and its time varies by a third. */
const rounds = 3;

/** The real Claude Code with a scripted model: in a box, by itself, and in an agent server without a box. Medians. */
export async function tasks(run: Run): Promise<Row[]> {
  const { daemon } = await run.cloning();
  await run.templateOf('claude-agent');
  const inBox = async (): Promise<TwoTasks> => {
    const user = 'bench-tasks';
    await daemon.daemon.create(user);
    const one = async (): Promise<number> => {
      const { ms, value } = await timed(() => daemon.daemon.task(user, task));
      if (completionOf(value).outcome !== 'done') throw new Error('the task in a box failed');
      return ms;
    };
    const taken = { first: await one(), second: await one() };
    await daemon.daemon.kill(user);
    return taken;
  };
  const ours: TwoTasks[] = [];
  const alone: TwoTasks[] = [];
  const server: TwoTasks[] = [];
  for (let round = 1; round <= rounds; round++) {
    run.tell(`Two tasks: natively, and in a box (${round} of ${rounds})`);
    alone.push(await claudeAlone(task));
    server.push(await agentServerAlone(task));
    ours.push(await inBox());
  }
  const row = (which: keyof TwoTasks, name: string, native: readonly TwoTasks[]): Row & { factor: number } => {
    const [box, compared] = [middle(ours, which), middle(native, which)];
    return {
      what: `${which} task of a box`,
      ours: duration(box),
      against: `${name}, ${duration(compared)}`,
      ratio: times(box / compared),
      factor: box / compared,
    };
  };
  return [
    row('first', 'claude -p', alone),
    row('first', 'agent server without a box', server),
    held(row('second', 'claude -p --continue', alone)),
    held(row('second', 'agent server without a box', server)),
  ];
}

function held({ factor, ...told }: Row & { factor: number }): Row {
  return { ...told, target: `at most ${target} x`, met: factor <= target };
}

function middle(samples: readonly TwoTasks[], which: keyof TwoTasks): number {
  return median(samples.map((sample) => sample[which]));
}
