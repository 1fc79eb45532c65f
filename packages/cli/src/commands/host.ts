import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { exitCodes } from '../exit.ts';

const wait = (): void => undefined;
const runner = fileURLToPath(new URL('../../../../scripts/run.mjs', import.meta.url));

/** `citb host`: the daemon in the foreground, with the set-up that `npm run host` does. */
export function addHost(program: Command, cli: Cli): void {
  program
    .command('host')
    .summary('run the host daemon of this machine')
    .description('Runs the host daemon in the foreground: the same as `npm run host`. Its settings are environment variables.')
    .option('--port <port>', 'port to listen on (CITB_PORT)')
    .option('--data-dir <folder>', 'where boxes, images and the key are kept (CITB_DATA_DIR)')
    .addHelpText(
      'after',
      `
Examples:
  citb host
  ANTHROPIC_API_KEY=sk-… citb host --port 9000

Ctrl-C stops the daemon; boxes go on running and are found again at the next start.`,
    )
    .action(async (flags: { port?: string; dataDir?: string }) => {
      const child = spawn(process.execPath, [runner, 'host'], {
        stdio: 'inherit',
        env: {
          ...cli.env,
          ...(flags.port === undefined ? {} : { CITB_PORT: flags.port }),
          ...(flags.dataDir === undefined ? {} : { CITB_DATA_DIR: flags.dataDir }),
        },
      });
      // Ctrl-C reaches the daemon by itself: it is in the terminal's foreground group, as we are.
      const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
      process.on('SIGINT', wait).on('SIGTERM', pass).on('SIGHUP', pass);
      const [code] = (await once(child, 'exit')) as [number | null];
      process.off('SIGINT', wait).off('SIGTERM', pass).off('SIGHUP', pass);
      cli.exitCode = code ?? exitCodes.failure;
    });
}
