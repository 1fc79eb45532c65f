import { createLog } from '@citb/daemon';
import { ImageError } from '@citb/images';
import { ConfigError, type HostConfig, readConfig } from './config.ts';
import { DataFolderInUse, takeDataFolder } from './data-folder.ts';
import { type Host, startHost } from './host.ts';
import { StoreUnusable } from './open-store.ts';

/** How long closing up may take after boxes were saved, in ms. */
const lateMs = 5000;

/** The host daemon: the one place that reads the environment and ends the process. Logs go to stderr, what a person reads to stdout. */
try {
  const config = readConfig(process.env);
  // What is started from here (QEMU, buildah) needs no keys.
  delete process.env['ANTHROPIC_API_KEY'];
  delete process.env['CITB_API_KEY'];
  const log = createLog('host', config.logLevel);
  const fail = (error: unknown): void => {
    log.fatal({ err: error }, 'the daemon ends: an error that nobody expected; boxes go on running');
    process.exit(1);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const host = await startHost(config, takeDataFolder(config.dataDir), log, say);
  say(host.greeting);
  endOn(['SIGTERM', 'SIGINT'], host, config);
} catch (error) {
  say(isForPeople(error) ? error.message : `The host could not start: ${(error as Error).stack ?? String(error)}`);
  process.exit(1);
}

/** Who ends a process group ends npm too, which passes the signal on: all that come within so long, in ms, are one. */
const echoMs = 1000;

/** The first signal stops the daemon in good order, a second one at once. Before it listens a signal may simply end it. */
function endOn(signals: readonly NodeJS.Signals[], host: Host, { onSigterm, drainMs }: HostConfig): void {
  let began: number | undefined;
  const stop = async (): Promise<void> => {
    if (began !== undefined) {
      if (performance.now() - began > echoMs) process.exit(1);
      return;
    }
    began = performance.now();
    if (onSigterm === 'pause') {
      say(`Stopping; boxes are saved to disk, for at most ${drainMs / 1000} s. Once more to stop at once: they go on running then.`);
      // The machine goes down whether everything has ended or not; what is half done is completed by the next daemon.
      setTimeout(() => process.exit(1), drainMs + lateMs).unref();
    } else say('Stopping; boxes go on running. Once more to stop at once.');
    await host.stop();
    process.exit(0);
  };
  for (const signal of signals) process.on(signal, () => void stop());
}

function isForPeople(error: unknown): error is Error {
  return error instanceof ConfigError || error instanceof DataFolderInUse || error instanceof StoreUnusable || error instanceof ImageError;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
