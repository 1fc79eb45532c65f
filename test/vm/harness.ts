import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskEvent } from '@citb/api';
import { defaultDataDir } from '@citb/images';
import { type ScriptedModel, startScriptedModel } from '@citb/testkit';

/** Deadline of anything that boots a machine, in ms: generous, since it only ends what hangs. */
export const patience = 300_000;

/** Resolves with the first truthy answer of `check`. @throws with `what` after `deadlineMs` */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = patience,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A real host daemon as a process of its own, with a data directory of its own and the machine's shared images. */
export class Daemon implements AsyncDisposable {
  readonly dataDir: string;
  readonly model: ScriptedModel;
  #process: ChildProcess | undefined;
  #environment: Record<string, string>;
  #log = '';
  url = '';
  readonly key = 'test-key-of-the-vm-suite-0123456789';

  private constructor(dataDir: string, model: ScriptedModel, environment: Record<string, string>) {
    this.dataDir = dataDir;
    this.model = model;
    this.#environment = environment;
  }

  static async start(environment: Record<string, string> = {}): Promise<Daemon> {
    const dataDir = await mkdtemp(join(tmpdir(), 'citb-'));
    // Machines run under a uid of their own and must be able to come to their folder.
    await chmod(dataDir, 0o711);
    const images = join(defaultDataDir(process.env), 'images');
    await mkdir(images, { recursive: true });
    await symlink(images, join(dataDir, 'images'));
    const daemon = new Daemon(dataDir, await startScriptedModel({ port: 0 }), environment);
    try {
      await daemon.launch();
    } catch (error) {
      await daemon.#leave();
      throw error;
    }
    return daemon;
  }

  /** Starts the daemon (again) on the same data directory and waits until boxes can be made. */
  async launch(): Promise<void> {
    this.#log = '';
    const child = spawn(process.execPath, [new URL('../../packages/host/src/main.ts', import.meta.url).pathname], {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '/root',
        CITB_PORT: '0',
        CITB_DATA_DIR: this.dataDir,
        CITB_API_KEY: this.key,
        CITB_ANTHROPIC_BASE_URL: this.model.url,
        ANTHROPIC_API_KEY: 'sk-host-default',
        // Making one takes the machine a while, which the test that wants it says.
        CITB_TEMPLATES: '0',
        ...this.#environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (this.#log = (this.#log + chunk.toString()).slice(-200_000)));
    const address = join(this.dataDir, 'host.json');
    await until('the daemon answers /health with 200', async () => {
      const end = child.exitCode ?? child.signalCode;
      if (end !== null) throw new Error(`the daemon exited with ${end}:\n${this.#log.slice(-4000)}`);
      const announced = await readFile(address, 'utf8').then(
        (json) => JSON.parse(json) as { url: string; pid: number },
        () => undefined,
      );
      if (announced === undefined || announced.pid !== child.pid) return false;
      this.url = announced.url;
      return await fetch(`${this.url}/health`).then(
        (response) => response.status === 200,
        () => false,
      );
    });
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('the daemon does not run');
    return pid;
  }

  get log(): string {
    return this.#log;
  }

  /** Ends the daemon: `SIGKILL` as a crash, `SIGTERM` as an operator would. Boxes go on running. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#process;
    if (child === undefined) return null;
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    child.kill(signal);
    return await exited;
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return await fetch(this.url + path, {
      method,
      headers: { 'X-API-Key': this.key, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(patience),
    });
  }

  /** A call that must succeed, as JSON. */
  async json<T>(method: string, path: string, sent?: unknown): Promise<T> {
    const response = await this.call(method, path, sent);
    const body = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${body}`);
    return JSON.parse(body) as T;
  }

  async create(
    userId: string,
    runtime = 'claude-agent',
    envVars: Record<string, string> = {},
  ): Promise<{ status: string; vm_ip: string; pid: number }> {
    return await this.json('POST', '/create_microvm', { user_id: userId, runtime, env_vars: envVars });
  }

  async kill(userId: string): Promise<void> {
    await this.json('POST', '/kill_microvm', { user_id: userId });
  }

  /** A classic task to its end. */
  async task(userId: string, task: string, files: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Promise<TaskEvent[]> {
    const response = await this.call('POST', '/claude_in_the_box', { user_id: userId, task, files, ...more });
    if (!response.ok) throw new Error(`task: ${response.status} ${await response.text()}`);
    const events: TaskEvent[] = [];
    for await (const event of lines<TaskEvent>(response)) events.push(event);
    return events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process?.exitCode !== null || this.#process.signalCode !== null) await this.launch().catch(() => undefined);
    const { boxes } = await this.json<{ boxes: { id: string }[] }>('GET', '/v1/boxes?limit=1000').catch(() => ({ boxes: [] }));
    await Promise.allSettled(boxes.map((box) => this.call('DELETE', `/v1/boxes/${box.id}`)));
    await this.#leave();
  }

  async #leave(): Promise<void> {
    await this.end('SIGTERM');
    await this.model.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** The JSON lines of a streamed answer, as they come. Empty lines and heartbeats are left out. */
export async function* lines<T>(response: Response): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk, { stream: true });
    const parts = rest.split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      if (line.trim() === '') continue;
      const value = JSON.parse(line) as T;
      if ((value as { type?: string }).type !== 'heartbeat') yield value;
    }
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as T;
}

export function text(events: readonly TaskEvent[]): string {
  return events
    .filter((event) => event.type === 'text')
    .map((event) => event.content)
    .join('\n');
}

export function completion(events: readonly TaskEvent[]): Extract<TaskEvent, { type: 'completion' }> {
  const last = events.at(-1);
  if (last?.type !== 'completion') throw new Error(`the last event is ${JSON.stringify(last)}`);
  return last;
}
