import { duration, times, timed } from './measure.ts';
import { nativeTasks } from './native-tasks.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

const task = 'Create a Python script that prints hello world';
/** What a task in an emulated machine may take of the time of a native one. */
const target = 4;

/** The real Claude Code with a scripted model, in a box and without one. */
export async function tasks(run: Run): Promise<Row[]> {
  run.tell('Native Claude Code: two tasks');
  const native = await nativeTasks(task);
  await using bench = await run.booting();
  const { daemon } = bench;
  run.tell('The same in a box');
  await daemon.create('bench');
  const first = await timed(() => daemon.task('bench', task));
  const second = await timed(() => daemon.task('bench', task));
  return [
    row('first task of a box', first.ms, native.first),
    { ...row('second task of a box', second.ms, native.second), target: `at most ${target} x`, met: second.ms <= target * native.second },
  ];
}

function row(what: string, ms: number, native: number): Row {
  return { what, ours: duration(ms), against: `native, ${duration(native)}`, ratio: times(ms / native) };
}
