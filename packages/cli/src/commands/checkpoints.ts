import type { Command } from 'commander';
import type { Checkpoint } from '@citb/api';
import type { Box } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { UsageError } from '../exit.ts';
import { Waiting, bytes, duration, oneLine, table } from '../render/index.ts';
import { boxArgument, findBox } from '../target.ts';

/** `citb checkpoint`, `citb checkpoints`, `citb rollback`: states of a box to go back to. */
export function addCheckpoints(program: Command, cli: Cli): void {
  addCheckpoint(program, cli);
  addList(program, cli);
  addRollback(program, cli);
}

function addCheckpoint(program: Command, cli: Cli): void {
  program
    .command('checkpoint')
    .summary('keep the present state of a box')
    .description('Keeps the present state of a box, its running processes included, and prints the id of it. The box goes on.')
    .argument('<box>', boxArgument)
    .argument('[name]', 'what this state is, for people')
    .option('--no-memory', 'only its disk: smaller and quicker; a rollback boots the box')
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nExamples:\n  citb checkpoint ada "before the migration"\n  citb rollback ada "$(citb checkpoint ada)"')
    .action(async (name: string, label: string | undefined, flags: { memory: boolean; json?: true }) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      using waiting = new Waiting(cli.stderr, 'The state of the box is copied');
      const made = await box.checkpoints.create({ name: label, memory: flags.memory });
      waiting[Symbol.dispose]();
      if (flags.json) return cli.print(JSON.stringify(made));
      cli.print(made.id);
      if (cli.stderr.isTTY) cli.note(cli.errorColours.dim(`${bytes(made.size_bytes)}, ${made.memory ? 'with memory' : 'without memory'}`));
    });
}

function addList(program: Command, cli: Cli): void {
  program
    .command('checkpoints')
    .summary('list the checkpoints of a box')
    .description('Lists the checkpoints of a box, oldest first: yours, the agent’s, and those that the host made before tasks.')
    .argument('<box>', boxArgument)
    .option('--delete <id>', 'delete this one instead')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExamples:\n  citb checkpoints ada\n  citb checkpoints ada --delete ckp_k3v9x2m1qf7c')
    .action(async (name: string, flags: { delete?: string; json?: true }) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      if (flags.delete !== undefined) {
        await box.checkpoints.delete(flags.delete);
        return cli.note(`Deleted ${flags.delete}.`);
      }
      const checkpoints = await box.checkpoints.list();
      if (flags.json) return checkpoints.forEach((each) => cli.print(JSON.stringify(each)));
      if (checkpoints.length === 0) return cli.note('There are no checkpoints. `citb checkpoint` makes one.');
      cli.print(table(cli.colours, ['CHECKPOINT', 'KIND', 'AGE', 'SIZE', 'MEMORY', 'WHAT'], checkpoints.map(row)));
    });
}

function row({ id, kind, created, size_bytes, memory, name, task_id }: Checkpoint): string[] {
  const what = name ?? (task_id === null ? '-' : `before ${task_id}`);
  return [id, kind, duration(Date.now() - Date.parse(created)), bytes(size_bytes), memory ? 'yes' : 'no', oneLine(what, 80)];
}

function addRollback(program: Command, cli: Cli): void {
  program
    .command('rollback')
    .summary('bring a box back to a checkpoint')
    .description('Brings a box back to a checkpoint. What it is now is given up; tasks that run end as interrupted.')
    .argument('<box>', boxArgument)
    .argument('[checkpoint]', 'id of the checkpoint')
    .option('--task <id>', 'to before this task instead')
    .option('--json', 'print the box as JSON')
    .addHelpText('after', '\nExamples:\n  citb rollback ada ckp_k3v9x2m1qf7c\n  citb rollback ada --task task_0k3v9x2m1qf7c8d4e5ab')
    .action(async (name: string, given: string | undefined, flags: { task?: string; json?: true }) => {
      if ((given === undefined) === (flags.task === undefined))
        throw new UsageError('Say where to go back to.', 'Give the id of a checkpoint, or --task and the id of a task.');
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      const id = given ?? (await beforeTask(box, flags.task ?? ''));
      using waiting = new Waiting(cli.stderr, 'The box goes back');
      const info = await box.checkpoints.restore(id);
      waiting[Symbol.dispose]();
      if (flags.json) cli.print(JSON.stringify(info));
      else cli.note(`${box.id} is as it was at ${id}.`);
    });
}

async function beforeTask(box: Box, taskId: string): Promise<string> {
  const found = (await box.checkpoints.list()).findLast(({ task_id }) => task_id === taskId);
  if (found !== undefined) return found.id;
  throw new UsageError(
    `There is no checkpoint from before ${taskId}.`,
    'The last few tasks have one each, if nothing else ran when they began; `citb logs` says why one has none. `citb checkpoints` lists them.',
  );
}
