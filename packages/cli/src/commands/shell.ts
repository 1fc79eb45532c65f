import type { Command } from 'commander';
import { ApiError, type Terminal } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { EscapeSequence } from '../escape.ts';
import { CommandError, UsageError, exitCodes } from '../exit.ts';
import { integer, positive } from '../options.ts';
import { write } from '../streams.ts';
import { boxArgument, findBox } from '../target.ts';

interface ShellFlags {
  user?: string;
  join?: number;
  reconnect?: number;
  keepAwake?: true;
}

/** `citb shell`: a terminal in a box. */
export function addShell(program: Command, cli: Cli): void {
  program
    .command('shell')
    .summary('open a terminal in a box')
    .description(
      'Opens a terminal in a box. A broken connection is taken up again with the same shell.\n' +
        'A box that is paused meanwhile is left asleep: the shell goes on when it wakes, and --join comes back to it.\n' +
        'At the start of a line: ~. leaves (the shell goes on, --join comes back to it), ~~ types one ~.',
    )
    .argument('<box>', boxArgument)
    .option('--user <name>', 'whose shell (default: user; root is allowed)')
    .option('--join <pid>', 'come back to a shell that was left', integer)
    .option('--reconnect <seconds>', 'how long a broken connection tries to come back (default: 30)', positive)
    .option('--keep-awake', 'wake the box again when somebody pauses it')
    .addHelpText('after', '\nExamples:\n  citb shell ada\n  citb shell --user root ada\n  citb shell ada --join 412')
    .action(async (name: string, flags: ShellFlags) => {
      if (!cli.stdin.isTTY || !cli.stdout.isTTY) {
        throw new UsageError('A shell needs a terminal.', 'For scripts there is `citb exec <box> -- command`.');
      }
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      await using terminal = await box.terminal({
        cols: cli.stdout.columns,
        rows: cli.stdout.rows,
        user: flags.user,
        pid: flags.join,
        reconnectMs: flags.reconnect === undefined ? undefined : flags.reconnect * 1000,
        keepAwake: flags.keepAwake,
        onConnection: (state) =>
          void cli.stderr.write(`\r\n[${state === 'broken' ? 'the connection broke; trying to come back' : 'back'}]\r\n`),
      });
      cli.exitCode = await attach(cli, terminal, box.id);
    });
}

/** Joins our terminal and the box's, until the program there ends or the user leaves. Our terminal is put back whatever happens. */
async function attach(cli: Cli, terminal: Terminal, boxId: string): Promise<number> {
  const { stdin, stdout } = cli;
  const left = Promise.withResolvers<'left'>();
  const escape = new EscapeSequence();
  const type = (data: Buffer): void => {
    const { send, leave } = escape.feed(data);
    if (send.byteLength > 0) terminal.write(send);
    if (leave) left.resolve('left');
  };
  const resize = (): void => terminal.resize(stdout.columns, stdout.rows);
  const restore = (): void => void stdin.setRawMode(false);
  const hangUp = (): void => left.resolve('left');
  using stack = new DisposableStack();
  process.once('exit', restore).once('SIGTERM', hangUp).once('SIGHUP', hangUp);
  stack.defer(() => process.off('exit', restore).off('SIGTERM', hangUp).off('SIGHUP', hangUp));
  stdin.setRawMode(true);
  stack.defer(() => {
    restore();
    stdin.pause();
  });
  stdin.on('data', type);
  stack.defer(() => stdin.off('data', type));
  stdout.on('resize', resize);
  stack.defer(() => stdout.off('resize', resize));

  const ended = print(cli, terminal, boxId);
  const end = await Promise.race([left.promise, ended]);
  if (end === 'left') {
    cli.note(`\r\n[left; the shell goes on: citb shell ${boxId} --join ${terminal.pid}]\r`);
    return exitCodes.ok;
  }
  return end;
}

async function print(cli: Cli, terminal: Terminal, boxId: string): Promise<number> {
  try {
    for await (const data of terminal.output) await write(cli.stdout, data as Buffer);
    return (await terminal.exitCode) ?? 128 + 9;
  } catch (error) {
    if (error instanceof ApiError && error.code === 'box_paused')
      throw new CommandError(
        'The box was paused; the shell goes on when it wakes.',
        `Come back to it, which wakes the box: citb shell ${boxId} --join ${terminal.pid}`,
      );
    throw new CommandError(
      (error as Error).message,
      'Open a new one: the shell may still run, `citb ps` shows it.',
      exitCodes.noConnection,
    );
  }
}
