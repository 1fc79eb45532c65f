import type { Command } from 'commander';
import type { BoxEvent } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { untilInterrupted } from '../interrupt.ts';
import { wholeFromZero } from '../options.ts';
import { oneLine } from '../render/index.ts';
import { write } from '../streams.ts';
import { boxArgument, findBox } from '../target.ts';

/** `citb events`: what happens to a box, as it happens. */
export function addEvents(program: Command, cli: Cli): void {
  program
    .command('events')
    .summary('show what happens to a box')
    .description('Shows what happened to a box and what comes, until it is killed; Ctrl-C ends it. Neither wakes it nor keeps it awake.')
    .argument('<box>', boxArgument)
    .option('--after <seq>', 'only events with a larger number', wholeFromZero)
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExamples:\n  citb events ada\n  citb events ada --json | jq .type')
    .action(async (name: string, flags: { after?: number; json?: true }) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      await untilInterrupted(async (signal) => {
        for await (const event of box.events({ after: flags.after ?? 0, signal }))
          await write(cli.stdout, `${flags.json ? JSON.stringify(event) : line(cli, event)}\n`);
      });
    });
}

function line({ colours: { dim, bold } }: Cli, { seq, ts, type, content }: BoxEvent): string {
  const details = Object.entries(content).map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${dim(`${seq} ${ts.slice(0, 19).replace('T', ' ')}`)} ${bold(oneLine(type, 40))}${details.length === 0 ? '' : ` ${oneLine(details.join(', '), 500)}`}`;
}
