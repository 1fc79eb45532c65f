import type { Readable } from 'node:stream';
import { constants } from 'node:os';
import type { Command } from 'commander';
import type { Box, ExecExit } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { CommandError, UsageError, exitCodes } from '../exit.ts';
import { collectPairs, positive } from '../options.ts';
import { boxArgument, findBox } from '../target.ts';
import { write } from '../streams.ts';

interface ExecFlags {
  cwd?: string;
  env?: Record<string, string>;
  user?: string;
  timeout?: number;
}

/** `citb exec`: a command in a box, with its streams and its exit code. */
export function addExec(program: Command, cli: Cli): void {
  program
    .command('exec')
    .summary('run a command in a box')
    .description("Runs a command in a box: stdin is piped in, output comes as it is written, and citb ends with the command's exit code.")
    .argument('<box>', boxArgument)
    .argument('<command...>', 'program and arguments; one word with spaces is given to the shell')
    .option('--cwd <folder>', 'where it runs (default: /workspace)')
    .option('--env <K=V>', 'environment; may be repeated', collectPairs(cli.env))
    .option('--user <name>', 'who runs it (default: user; root is allowed)')
    .option('--timeout <seconds>', 'kill it after so long, exit code 124 (default: 3600)', positive)
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Examples:
  citb exec ada -- python3 hello.py
  citb exec ada 'ls -la | wc -l'
  cat data.csv | citb exec ada -- sort -u > sorted.csv
  citb exec --user root ada -- chown -R user: /workspace

Ctrl-C kills the command. For programs that need a terminal: citb shell.`,
    )
    .action(async (name: string, words: string[], flags: ExecFlags) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      const command = commandOf(words);
      const left = new AbortController();
      const interrupt = (): void => left.abort();
      process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
      try {
        cli.exitCode = exitCodeOfCommand(await run(cli, box, command, flags, left.signal));
      } catch (error) {
        if (!left.signal.aborted) throw error;
        cli.exitCode = exitCodes.interrupted;
      } finally {
        process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
        cli.stdin.destroy();
      }
    });
}

/** One word with spaces is a line for the shell; else program and arguments. Commander leaves the `--` that may stand before them. */
function commandOf(words: readonly string[]): string | string[] {
  const [first = '', ...rest] = words[0] === '--' ? words.slice(1) : words;
  if (first === '') throw new UsageError('There is no command to run.', 'citb exec BOX -- ls -la');
  return rest.length === 0 && /\s/.test(first) ? first : [first, ...rest];
}

async function run(cli: Cli, box: Box, command: string | string[], flags: ExecFlags, signal: AbortSignal): Promise<ExecExit> {
  const piped = !cli.stdin.isTTY;
  const options = { cwd: flags.cwd, env: flags.env, user: flags.user, timeoutS: flags.timeout, signal, keepStdin: piped };
  for await (const output of box.processes.stream(command, options)) {
    if (output.type === 'start' && piped) void feed(box, output.pid, cli.stdin);
    else if (output.type === 'stdout') await write(cli.stdout, output.data);
    else if (output.type === 'stderr') await write(cli.stderr, output.data);
    else if (output.type === 'exit') return output;
  }
  throw new CommandError('The stream of the command ended before the command did.', 'Try again.');
}

/** Gives our stdin to the command, a piece at a time. A command that does not want it, or is gone, simply does not get it. */
async function feed(box: Box, pid: number, stdin: Readable): Promise<void> {
  try {
    for await (const chunk of stdin) await box.processes.write(pid, chunk as Buffer);
    await box.processes.write(pid, undefined, { close: true });
  } catch {
    stdin.destroy();
  }
}

function exitCodeOfCommand(exit: ExecExit): number {
  if (exit.timed_out) return exitCodes.timeout;
  if (exit.exit_code !== null) return exit.exit_code;
  if (exit.error !== null) throw new CommandError(exit.error, 'Look at `citb logs` of the box.');
  const number = Object.entries(constants.signals).find(([name]) => name === exit.signal || `SIG${exit.signal ?? ''}` === name)?.[1];
  return 128 + (number ?? constants.signals.SIGKILL);
}
