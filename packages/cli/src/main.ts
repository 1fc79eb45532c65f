import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { CommanderError } from 'commander';
import { createCli } from './cli.ts';
import { exitCodeOf } from './exit.ts';
import { createProgram } from './program.ts';
import { describeError } from './report.ts';

/** `citb`: the one place that reads the environment and the command line. */
const args = process.argv.slice(2);
const command = args.findIndex((word) => !word.startsWith('-'));
// Colours are needed to print the help itself, before commander has parsed anything.
const color = !args.slice(0, command < 0 ? args.length : command).includes('--no-color');

const cli = createCli(process, { color, url: () => program.opts<{ url?: string }>().url });
const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
const program = createProgram(cli, version);

// `citb ls | head -1`: whoever reads has enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(cli.exitCode);
  throw error;
});

try {
  await program.parseAsync(args, { from: 'user' });
} catch (error) {
  cli.exitCode = exitCodeOf(error);
  // Commander has said already what was wrong.
  if (!(error instanceof CommanderError)) cli.note(describeError(error, cli.errorColours, process.env['CITB_DEBUG'] !== undefined));
}
process.exitCode = cli.exitCode;
