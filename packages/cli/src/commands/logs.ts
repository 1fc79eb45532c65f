import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { untilInterrupted } from '../interrupt.ts';
import { integer } from '../options.ts';
import { printable } from '../render/index.ts';
import { write } from '../streams.ts';
import { boxArgument, findBox } from '../target.ts';

/** `citb logs`: the console of a box and what the host says of it. */
export function addLogs(program: Command, cli: Cli): void {
  program
    .command('logs')
    .summary('show the log of a box')
    .description('Shows the console of the box and what the host says of it.')
    .argument('<box>', boxArgument)
    .option('-f, --follow', 'go on with the lines to come; Ctrl-C ends it')
    .option('-n, --tail <lines>', 'so many of the last lines (default: 1000)', integer)
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExamples:\n  citb logs ada -n 50\n  citb logs -f ada')
    .action(async (name: string, flags: { follow?: true; tail?: number; json?: true }) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      await untilInterrupted(async (signal) => {
        const options = { follow: flags.follow === true, signal, ...(flags.tail === undefined ? {} : { tail: flags.tail }) };
        for await (const entry of box.logs(options)) {
          const { dim, yellow } = cli.colours;
          const source = entry.source === 'host' ? yellow('host   ') : dim('console');
          const line = `${dim(entry.ts.slice(11, 23))} ${source} ${printable(entry.line).replaceAll('\n', ' ')}`;
          await write(cli.stdout, `${flags.json ? JSON.stringify(entry) : line}\n`);
        }
      });
    });
}
