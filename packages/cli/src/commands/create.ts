import { type Command, Option } from 'commander';
import { sizes, type TimeoutAction, timeoutActions } from '@citb/api';
import type { Cli } from '../cli.ts';
import { Waiting, mebibytes } from '../render/index.ts';
import { seconds } from '../moment.ts';
import { collectPairs, integer } from '../options.ts';

interface CreateFlags {
  user?: string;
  runtime?: string;
  id?: string;
  disk?: number;
  memory?: number;
  cpus?: number;
  timeout?: number;
  onTimeout?: TimeoutAction;
  idle?: number;
  env?: Record<string, string>;
  label?: Record<string, string>;
  json?: true;
}

/** `citb create`: a box, and on stdout its id. */
export function addCreate(program: Command, cli: Cli): void {
  program
    .command('create')
    .summary('make a box')
    .description('Makes a box and prints its id. A user has at most one box: asked again, it is the same one.')
    .option('--user <id>', "the app's own id of its user")
    .option('--runtime <name>', 'what the box is made from: claude-agent, python, node, bash (default: claude-agent)')
    .option('--disk <MiB>', `size of its disk (default: ${sizes.diskMib.default})`, integer)
    .option('--memory <MiB>', 'memory (default: by runtime)', integer)
    .option('--cpus <count>', 'processors (default: by runtime)', integer)
    .option('--timeout <time>', 'end of the box, from now (3600, 2h, 7d; default: no end)', seconds)
    .addOption(new Option('--on-timeout <action>', 'what happens then (default: kill)').choices(timeoutActions))
    .option('--idle <time>', 'pause it after so long without activity (600, 10m; 0: never; default: by the host)', seconds)
    .option('--env <K=V>', 'environment of the box; K alone takes it from here; may be repeated', collectPairs(cli.env))
    .option('--label <k=v>', 'label; may be repeated', collectPairs({}))
    .option('--id <id>', 'an id of your own (default: the host makes one)')
    .option('--json', 'print the box as JSON')
    .addHelpText(
      'after',
      `
Examples:
  citb create --user ada
  citb create --user ada --env ANTHROPIC_API_KEY      the key stays on the host
  citb create --runtime python --memory 512 --label team=data
  box=$(citb create) && citb task "$box" "Write hello.py and run it"`,
    )
    .action(async (flags: CreateFlags) => {
      await using citb = await cli.client();
      using waiting = new Waiting(cli.stderr, 'The box is made; the first of a runtime builds its image, which takes minutes');
      const box = await citb.boxes.create({
        userId: flags.user,
        runtime: flags.runtime,
        id: flags.id,
        diskMib: flags.disk,
        memoryMib: flags.memory,
        cpus: flags.cpus,
        timeoutS: flags.timeout,
        onTimeout: flags.onTimeout,
        idleS: flags.idle,
        env: flags.env,
        labels: flags.label,
      });
      waiting[Symbol.dispose]();
      if (flags.json) return cli.print(JSON.stringify(box.info));
      cli.print(box.id);
      if (!cli.stderr.isTTY) return;
      const { runtime, state, memory_mib: memory, disk_mib: disk, cpus } = box.info;
      cli.note(cli.errorColours.dim(`${runtime}, ${state}; ${cpus} cpus, ${mebibytes(memory)} memory, ${mebibytes(disk)} disk`));
    });
}
