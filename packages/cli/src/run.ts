import { CommanderError } from 'commander';
import { type Cli, createCli } from './cli.ts';
import { exitCodeOf } from './exit.ts';
import { createProgram } from './program.ts';
import { describeError } from './report.ts';

/**
 * Runs one command line. What goes wrong is told on stderr; nothing is thrown.
 * @param args without program and script
 * @returns the exit code
 */
export async function runCitb(
  args: readonly string[],
  streams: Pick<Cli, 'stdin' | 'stdout' | 'stderr' | 'env'>,
  version: string,
): Promise<number> {
  const command = args.findIndex((word) => !word.startsWith('-'));
  // Colours are needed to print the help itself, before commander has parsed anything.
  const color = !args.slice(0, command < 0 ? args.length : command).includes('--no-color');
  const cli = createCli(streams, { color, url: () => program.opts<{ url?: string }>().url });
  const program = createProgram(cli, version);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    cli.exitCode = exitCodeOf(error);
    // Commander has said already what was wrong.
    if (!(error instanceof CommanderError)) cli.note(describeError(error, cli.errorColours, streams.env['CITB_DEBUG'] !== undefined));
  }
  return cli.exitCode;
}
