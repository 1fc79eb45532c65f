import { Command } from 'commander';
import type { Cli } from './cli.ts';
import { addCheckpoints } from './commands/checkpoints.ts';
import { addCompletion } from './commands/completion.ts';
import { addCp } from './commands/cp.ts';
import { addCreate } from './commands/create.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEvents } from './commands/events.ts';
import { addExec } from './commands/exec.ts';
import { addFork } from './commands/fork.ts';
import { addHost } from './commands/host.ts';
import { addKill } from './commands/kill.ts';
import { addLifecycle } from './commands/lifecycle.ts';
import { addLogs } from './commands/logs.ts';
import { addLs } from './commands/ls.ts';
import { addPs } from './commands/ps.ts';
import { addShell } from './commands/shell.ts';
import { addStatus } from './commands/status.ts';
import { addTask } from './commands/task.ts';
import { addUpdate } from './commands/update.ts';
import { addTransfer } from './commands/transfer.ts';
import { exitCodesHelp } from './exit.ts';

/** The options that stand before the command. */
export interface GlobalFlags {
  url?: string;
  color: boolean;
}

/** The whole command tree; `cli` is what the commands work with. */
export function createProgram(cli: Cli, version: string): Command {
  const program = new Command('citb')
    .summary('claude-in-the-box')
    .description('A private computer with Claude in it for every user of your app.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show what this command does')
    .option('--url <url>', 'address of the host (default: CITB_URL, else the host of this machine)')
    .option('--no-color', 'no colours (as NO_COLOR; FORCE_COLOR=1 forces them)')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void cli.stdout.write(text),
      writeErr: (text) => void cli.stderr.write(text),
      outputError: (text, write) =>
        write(
          `${text.replace(/^error: /, `${cli.errorColours.red('citb:')} `).trimEnd()}\nRun the command with --help to see how it is used.\n`,
        ),
    })
    .configureHelp({ sortSubcommands: false, styleTitle: (title) => cli.colours.bold(title) })
    .addHelpText(
      'after',
      `
Start here:
  citb doctor                    what works on this machine, and what to do about the rest
  citb host                      the daemon that runs the boxes (leave it running)
  citb create --user ada         a box for user ada
  citb task ada "Write hello.py and run it"
  citb cp ada:hello.py .

A box is named by its id, by user:NAME, or by the plain user id when no box has that id.
The key for the API: CITB_API_KEY, else the file api-key in the data directory of the host of this machine.

${exitCodesHelp}`,
    );
  const commands = [
    addHost,
    addDoctor,
    addCreate,
    addTask,
    addLs,
    addCp,
    addExec,
    addShell,
    addPs,
    addLogs,
    addEvents,
    addLifecycle,
    addUpdate,
    addCheckpoints,
    addFork,
    addTransfer,
    addKill,
    addStatus,
    addCompletion,
  ];
  for (const add of commands) add(program, cli);
  return program;
}
