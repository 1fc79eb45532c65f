import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Process, type ProcessEventSchema, type StartRequest } from '@citb/api/gen/process_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';

/** Start and Connect stream the same. */
type Events = AsyncGenerator<{ event: MessageInitShape<typeof ProcessEventSchema> }>;

/** Envd's process service over real processes of this machine, as far as the host's side needs a counterpart. */
export class EnvdDouble implements AsyncDisposable {
  readonly server: Server;
  /** Users that requests came with. */
  readonly users: string[] = [];
  readonly children = new Map<number, ChildProcessWithoutNullStreams>();
  /** Set: the stream ends after the start event, without an exit. */
  endless = false;

  constructor() {
    this.server = createServer(connectNodeAdapter({ routes: (router) => this.#routes(router) }));
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.children.values()) child.kill('SIGKILL');
    this.server.close();
    this.server.closeAllConnections();
  }

  #child(pid: unknown): ChildProcessWithoutNullStreams {
    const child = this.children.get(Number(pid));
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      throw new ConnectError('no such process', Code.NotFound);
    return child;
  }

  #routes(router: ConnectRouter): void {
    router.service(Process, {
      start: (request, context) => this.#start(request, context.requestHeader),
      connect: ({ process: selected }) => this.#follow(this.#child(selected?.selector.value)),
      sendInput: async ({ process: selected, input }) => {
        const child = this.#child(selected?.selector.value);
        if (!child.stdin.write(input?.input.value ?? '')) await once(child.stdin, 'drain');
        return {};
      },
      closeStdin: async ({ process: selected }) => {
        this.#child(selected?.selector.value).stdin.end();
        return {};
      },
      sendSignal: async ({ process: selected, signal }) => {
        this.#child(selected?.selector.value).kill(signal);
        return {};
      },
      update: async () => ({}),
    });
  }

  async *#start({ process: config, stdin }: StartRequest, header: Headers): Events {
    this.users.push(atob(header.get('authorization')?.replace('Basic ', '') ?? ''));
    const { cmd = '', args = [], envs = {} } = config ?? {};
    // No home: nobody's profile speaks in the output.
    const child = spawn(cmd, args, { env: { PATH: process.env['PATH'], HOME: '/nowhere', ...envs } });
    try {
      await once(child, 'spawn');
    } catch {
      throw new ConnectError(`cannot run ${cmd}`, Code.InvalidArgument);
    }
    this.children.set(child.pid ?? 0, child);
    if (stdin === false) child.stdin.end();
    yield* this.#follow(child);
  }

  async *#follow(child: ChildProcessWithoutNullStreams): Events {
    const ended = new AbortController();
    const close = once(child, 'close').then(() => ended.abort());
    yield { event: { event: { case: 'start', value: { pid: child.pid ?? 0 } } } };
    if (this.endless) return;
    const queue = on(child.stdout, 'data', { signal: ended.signal });
    const errors: Buffer[] = [];
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    try {
      for await (const [chunk] of queue as AsyncIterable<[Buffer]>) {
        yield { event: { event: { case: 'data', value: { output: { case: 'stdout', value: chunk } } } } };
      }
    } catch {
      // Closed.
    }
    await close;
    if (errors.length > 0) {
      yield { event: { event: { case: 'data', value: { output: { case: 'stderr', value: Buffer.concat(errors) } } } } };
    }
    const { exitCode, signalCode } = child;
    const status = signalCode === null ? `exit status ${exitCode}` : 'signal: killed';
    yield { event: { event: { case: 'end', value: { exitCode: exitCode ?? -1, exited: signalCode === null, status } } } };
  }
}
