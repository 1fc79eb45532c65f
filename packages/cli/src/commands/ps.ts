import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { bytes, duration, table } from '../render/index.ts';
import { boxArgument, findBox } from '../target.ts';

/** `citb ps`: what runs in a box. */
export function addPs(program: Command, cli: Cli): void {
  program
    .command('ps')
    .summary('list the processes in a box')
    .description('Lists the processes in a box.')
    .argument('<box>', boxArgument)
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExamples:\n  citb ps ada\n  citb ps ada --json | jq .command')
    .action(async (name: string, flags: { json?: true }) => {
      await using citb = await cli.client();
      const processes = await (await findBox(citb, name)).processes.list();
      if (flags.json) return processes.forEach((entry) => cli.print(JSON.stringify(entry)));
      const rows = processes.map((entry) => [
        String(entry.pid),
        entry.user,
        `${entry.cpu_percent.toFixed(1)} %`,
        bytes(entry.memory_bytes),
        duration(Math.max(0, Date.now() - Date.parse(entry.started))),
        entry.command,
      ]);
      cli.print(table(cli.colours, ['PID', 'USER', 'CPU', 'MEMORY', 'AGE', 'COMMAND'], rows));
    });
}
