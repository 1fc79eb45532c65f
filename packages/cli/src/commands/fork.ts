import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { collectPairs } from '../options.ts';
import { Waiting } from '../render/index.ts';
import { boxArgument, findBox } from '../target.ts';

interface ForkFlags {
  user?: string;
  id?: string;
  env?: Record<string, string>;
  label?: Record<string, string>;
  checkpoint?: string;
  json?: true;
}

/** `citb fork`: another box that is this one in all. */
export function addFork(program: Command, cli: Cli): void {
  program
    .command('fork')
    .summary('make another box that is this one in all')
    .description(
      'Makes another box that is this one in all: disk, running processes, agent and conversation. From then on neither knows of the\n' +
        'other. Prints the id of the fork.',
    )
    .argument('<box>', boxArgument)
    .option('--user <id>', "whose box the fork is (default: nobody's)")
    .option('--id <id>', 'an id of your own (default: the host makes one)')
    .option('--env <K=V>', "environment instead of the source's; K alone takes it from here; may be repeated", collectPairs(cli.env))
    .option('--label <k=v>', "label instead of the source's; may be repeated", collectPairs({}))
    .option('--checkpoint <id>', 'begin from this checkpoint (default: from now)')
    .option('--json', 'print the fork as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  citb fork ada --user ada-experiment\n  other=$(citb fork ada) && citb task "$other" "Try it the other way"',
    )
    .action(async (name: string, flags: ForkFlags) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      using waiting = new Waiting(cli.stderr, 'The box is forked');
      const { user: userId, id, env, label: labels, checkpoint } = flags;
      const fork = await box.fork({ userId, id, env, labels, checkpoint });
      waiting[Symbol.dispose]();
      cli.print(flags.json ? JSON.stringify(fork.info) : fork.id);
    });
}
