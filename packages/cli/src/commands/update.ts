import { type Command, Option } from 'commander';
import { type TimeoutAction, timeoutActions } from '@citb/api';
import type { Cli } from '../cli.ts';
import { UsageError } from '../exit.ts';
import { moment, seconds, secondsOrNever } from '../moment.ts';
import { collectPairs } from '../options.ts';
import { boxArgument, findBox } from '../target.ts';

interface UpdateFlags {
  idle?: number;
  keepAlive?: Date | null;
  timeout?: number | null;
  onTimeout?: TimeoutAction;
  label?: Record<string, string>;
  json?: true;
}

/** `citb update`: settings of a box that exists. */
export function addUpdate(program: Command, cli: Cli): void {
  program
    .command('update')
    .summary('change idle time, lifetime or labels of a box')
    .description('Changes settings of a box; what is not named stays as it is. Does not wake it.')
    .argument('<box>', boxArgument)
    .option('--idle <time>', 'pause it after so long without activity (600, 10m, 2h); 0: never', seconds)
    .option('--keep-alive <moment>', 'do not pause it for being idle until then (2h from now, or a date); no: no such moment', moment)
    .option('--timeout <time>', 'from now until --on-timeout happens; never: no end', secondsOrNever)
    .addOption(new Option('--on-timeout <action>', 'what happens at the end of its time').choices(timeoutActions))
    .option('--label <k=v>', 'labels, in place of all it has; may be repeated', collectPairs({}))
    .option('--json', 'print the box as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  citb update ada --idle 1h\n  citb update ada --timeout 7d --on-timeout pause\n  citb update ada --keep-alive 30m',
    )
    .action(async (name: string, flags: UpdateFlags) => {
      const { idle, keepAlive, timeout, onTimeout, label, json } = flags;
      const change = { idleS: idle, keepAliveUntil: keepAlive, timeoutS: timeout, onTimeout, labels: label };
      if (Object.values(change).every((value) => value === undefined))
        throw new UsageError('Say what to change.', '`citb update --help` shows the settings.');
      await using citb = await cli.client();
      const info = await (await findBox(citb, name)).update(change);
      if (json) return cli.print(JSON.stringify(info));
      const idleText = info.idle_s === 0 ? 'never paused for being idle' : `paused after ${info.idle_s} s of rest`;
      const until = info.keep_alive_until === null ? '' : `, not before ${info.keep_alive_until}`;
      const end = info.expires === null ? 'no end' : `${info.on_timeout} at ${info.expires}`;
      cli.note(`${info.id}: ${idleText}${until}; ${end}.`);
    });
}
