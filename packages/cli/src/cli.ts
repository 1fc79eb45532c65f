import type { ReadStream, WriteStream } from 'node:tty';
import { Citb } from '@citb/sdk';
import { createColours, type Colours } from './render/index.ts';
import { UsageError } from './exit.ts';
import { findConnection, type FoundConnection } from './connection.ts';

/** What a command works with: the process's streams and environment, and the host. */
export interface Cli {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
  readonly stderr: WriteStream;
  /** Colours for stdout and for stderr: each has its own terminal or none. */
  readonly colours: Colours;
  readonly errorColours: Colours;
  /** Ends the process with it when the command is done. */
  exitCode: number;
  connection(): Promise<FoundConnection>;
  client(): Promise<Citb>;
  /** A line on stdout. */
  print(line: string): void;
  /** A line for a person, on stderr. */
  note(line: string): void;
}

/** @param options what stands before the command: read when a command asks, since commander parses it first */
export function createCli(
  streams: Pick<Cli, 'stdin' | 'stdout' | 'stderr' | 'env'>,
  options: { readonly color: boolean; readonly url: () => string | undefined },
): Cli {
  const connection = async (): Promise<FoundConnection> => findConnection(streams.env, options.url());
  return {
    ...streams,
    colours: createColours(streams.stdout, streams.env, options.color),
    errorColours: createColours(streams.stderr, streams.env, options.color),
    exitCode: 0,
    connection,
    async client() {
      const { url, apiKey } = await connection();
      if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
        throw new UsageError(`"${url}" is not the address of a host.`, 'Give it as http://name:port in --url or CITB_URL.');
      }
      // An empty key keeps the SDK from looking for one of its own.
      return new Citb({ url, apiKey: apiKey ?? '' });
    },
    print: (line) => void streams.stdout.write(`${line}\n`),
    note: (line) => void streams.stderr.write(`${line}\n`),
  };
}
