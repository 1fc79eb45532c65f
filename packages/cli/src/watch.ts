import type { TaskEvent } from '@citb/api';
import { ApiError, type Task } from '@citb/sdk';
import type { Cli } from './cli.ts';
import { exitCodes } from './exit.ts';
import { QuestionAsker } from './questions.ts';
import { TaskView } from './render/index.ts';
import { write } from './streams.ts';

export interface WatchOptions {
  /** Raw events instead of a readable stream. */
  readonly json: boolean;
  /** What Ctrl-C does first: end the task, or only the watching. */
  readonly interrupt: 'cancel' | 'leave';
}

/** Shows a task to its end. Answers the exit code. */
export async function watchTask(cli: Cli, task: Task, options: WatchOptions): Promise<number> {
  const left = new AbortController();
  const asker = new QuestionAsker(cli, task, () => interrupt());
  const view = new TaskView(cli.stdout, cli.colours, { width: cli.stdout.columns, asked: asker.canAsk });
  let cancelled = false;
  let timedOut = false;
  let shown = Promise.resolve();
  const say = (line: string): void => {
    if (!options.json) view.flush();
    cli.note(cli.errorColours.dim(line));
  };
  const interrupt = (): void => {
    if (options.interrupt === 'leave' || cancelled) return left.abort();
    cancelled = true;
    say('Interrupting the task… Ctrl-C once more leaves at once.');
    task.cancel().catch((error: unknown) => {
      if (!(error instanceof ApiError && error.code === 'task_ended')) say(`It could not be interrupted: ${(error as Error).message}`);
    });
  };
  process.on('SIGINT', interrupt);
  try {
    const events = task.events({ signal: left.signal, onReconnect: () => say('The connection broke; trying to come back…') });
    for await (const event of events) {
      if (options.json) await write(cli.stdout, `${JSON.stringify(event)}\n`);
      else {
        // What comes while a prompt has the terminal is shown after it.
        const free = asker.idle;
        await asker.event(event);
        shown = shown.then(() => free).then(() => view.event(event));
      }
      timedOut ||= event.type === 'error' && event.content.code === 'timeout';
      if (event.type !== 'completion') continue;
      await shown;
      return timedOut ? exitCodes.timeout : exitCodeOfTask(event);
    }
    return exitCodes.failure;
  } catch (error) {
    if (!left.signal.aborted) throw error;
    say(`Left. Watch on: citb task ${task.boxId} --follow ${task.id}`);
    return exitCodes.interrupted;
  } finally {
    process.off('SIGINT', interrupt);
    await asker.leave();
  }
}

function exitCodeOfTask(event: Extract<TaskEvent, { type: 'completion' }>): number {
  return { done: exitCodes.ok, failed: exitCodes.taskFailed, interrupted: exitCodes.taskInterrupted }[event.outcome];
}
