import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type ServicesDouble, type StartedServer, createServicesDouble, startServer } from '@citb/testkit/services/index.ts';
import { runCitb } from './run.ts';

const apiKey = 'key-of-the-cli-tests';
/** The executable that npm links. */
export const program = fileURLToPath(new URL('../bin/citb.mjs', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface RunOptions {
  readonly stdin?: string | Buffer;
  readonly env?: Record<string, string>;
}

/** `citb` as a user types it, in a folder of its own, against the host's real HTTP server. */
export class Testbed implements AsyncDisposable {
  readonly apiKey = apiKey;
  readonly folder: string;
  readonly services: ServicesDouble;
  readonly server: StartedServer;

  private constructor(folder: string, services: ServicesDouble, server: StartedServer) {
    this.folder = folder;
    this.services = services;
    this.server = server;
  }

  /** Its folder is the working directory of this process from now on: paths that are typed are relative to it. */
  static async create(): Promise<Testbed> {
    const services = await createServicesDouble();
    const folder = await mkdtemp(join(tmpdir(), 'citb-cli-'));
    process.chdir(folder);
    return new Testbed(folder, services, await startServer(services, { apiKey }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.services[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Runs citb to its end in this process: starting Node for each of a hundred commands would take most of the time. */
  readonly citb = async (args: readonly string[], { stdin = '', env }: RunOptions = {}): Promise<Ended> => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const streams = { stdin: Readable.from([Buffer.from(stdin)]), stdout, stderr, env: this.#environment(env) } as unknown as Parameters<
      typeof runCitb
    >[1];
    const ended = runCitb(args, streams, '0.0.0-test').finally(() => [stdout, stderr].map((stream) => stream.end()));
    const [out, err, code] = await Promise.all([text(stdout), text(stderr), ended]);
    return { code, out, err };
  };

  /** Runs it as a process of its own. `during` is told what stdout has so far, each time there is more. */
  readonly citbProcess = async (
    args: readonly string[],
    during: (out: string, kill: (signal: NodeJS.Signals) => void) => void,
  ): Promise<Ended> => {
    const child = spawn(process.execPath, [program, ...args], { env: this.#environment(), cwd: this.folder });
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      during(seen, (signal) => void child.kill(signal));
    });
    child.stdin.on('error', () => undefined).end();
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
    return { code, out, err };
  };

  #environment(more: Record<string, string> = {}): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: this.folder,
      CITB_URL: this.server.url,
      CITB_API_KEY: this.apiKey,
      CITB_DATA_DIR: join(this.folder, 'data'),
      ...more,
    };
  }
}
