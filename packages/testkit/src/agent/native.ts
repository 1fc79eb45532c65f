import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type AgentTask, type AgentTaskRequest, type GuestInit, type TaskEvent, taskEvent } from '@citb/api';

/** Folders that stand for those of a box. */
interface Folders {
  readonly root: string;
  readonly state: string;
  readonly spool: string;
  readonly run: string;
  readonly workspace: string;
  readonly home: string;
}

/** A task as a test writes it. */
export type TaskInput = Partial<Omit<AgentTaskRequest, 'id'>> & { readonly id?: string; readonly prompt: string };

const agentMain = new URL('../../../guest/src/agent/main.ts', import.meta.url).pathname;
const agentSdk = new URL('../../../../node_modules/@anthropic-ai/claude-agent-sdk/sdk.mjs', import.meta.url).pathname;

/** An id as the host gives them. */
export function newTaskId(): string {
  return `task_${randomBytes(10).toString('hex')}`;
}

/**
 * The real agent server with the real Claude Code on this machine, without a VM: what a box has at fixed paths is in
 * a temporary folder. `await using` it, or call `remove`.
 */
export class NativeAgent implements AsyncDisposable {
  readonly folders: Folders;
  readonly token = randomBytes(24).toString('hex');
  readonly #modelUrl: string;
  readonly #env: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  #port = 0;

  private constructor(folders: Folders, modelUrl: string, env: Readonly<Record<string, string>>) {
    this.folders = folders;
    this.#modelUrl = modelUrl;
    this.#env = env;
  }

  /** @param env more of the agent server's environment */
  static async create(modelUrl: string, env: Readonly<Record<string, string>> = {}): Promise<NativeAgent> {
    const root = await mkdtemp(join(tmpdir(), 'citb-agent-'));
    const folders: Folders = {
      root,
      state: join(root, 'state'),
      spool: join(root, 'spool'),
      run: join(root, 'run'),
      workspace: join(root, 'workspace'),
      home: join(root, 'home'),
    };
    for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
    const agent = new NativeAgent(folders, modelUrl, env);
    await agent.start();
    return agent;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Starts the server on the same folders. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--disable-warning=CLAUDE_SDK_CAN_USE_TOOL_SHADOWED', agentMain], {
      env: {
        PATH: process.env['PATH'] ?? '/usr/bin:/bin',
        HOME: this.folders.home,
        CITB_AGENT_HOST: '127.0.0.1',
        CITB_AGENT_PORT: '0',
        CITB_AGENT_SDK: agentSdk,
        CITB_AGENT_CGROUP: join(this.folders.root, 'no-cgroup'),
        CITB_STATE_DIR: this.folders.state,
        CITB_SPOOL_DIR: this.folders.spool,
        CITB_RUN_DIR: this.folders.run,
        CITB_WORKSPACE: this.folders.workspace,
        CITB_LOG_LEVEL: 'warn',
        ...this.#env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    const lines = createInterface({ input: child.stdout });
    const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => ['{}'])])) as [string];
    const port = (JSON.parse(line) as { port?: number }).port;
    if (port === undefined) throw new Error('the agent server did not start');
    this.#port = port;
  }

  /** Does what envd's `POST /init` does. */
  async init(more: Partial<GuestInit> = {}): Promise<void> {
    const init: Partial<GuestInit> = {
      accessToken: this.token,
      envVars: { CLAUDE_CODE_MAX_RETRIES: '2' },
      agent: { anthropicBaseUrl: this.#modelUrl },
      ...more,
    };
    const file = join(this.folders.run, 'init.json');
    await writeFile(`${file}.new`, JSON.stringify(init));
    await rename(`${file}.new`, file);
  }

  /** Ends the server with a signal and waits until it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
    await rm(this.folders.root, { recursive: true, force: true, maxRetries: 5 });
  }

  /** One request with the token. */
  request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method,
      headers: { 'x-access-token': this.token, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Sends a task and gives its id. @throws when it is not accepted */
  async send(task: TaskInput): Promise<string> {
    const id = task.id ?? newTaskId();
    const response = await this.request('POST', '/tasks', { ...task, id });
    if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
    return ((await response.json()) as AgentTask).id;
  }

  /** The events of a task as they come; ends after the completion. Heartbeats are left out. */
  async *events(id: string, after = 0): AsyncGenerator<TaskEvent> {
    const response = await this.request('GET', `/tasks/${id}/events?after=${after}`);
    if (response.status !== 200 || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
    let rest = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield taskEvent.parse(JSON.parse(line));
    }
  }

  /** All events of a task, its completion last. */
  async all(id: string, after = 0): Promise<TaskEvent[]> {
    return Array.fromAsync(this.events(id, after));
  }

  /** Sends a task and gives all of its events. */
  async run(task: TaskInput | string): Promise<TaskEvent[]> {
    return this.all(await this.send(typeof task === 'string' ? { prompt: task } : task));
  }
}

/** The events of one type. */
export function only<T extends TaskEvent['type']>(events: readonly TaskEvent[], type: T): Extract<TaskEvent, { type: T }>[] {
  return events.filter((event): event is Extract<TaskEvent, { type: T }> => event.type === type);
}

/** The last event, which must be the completion. */
export function completionOf(events: readonly TaskEvent[]): Extract<TaskEvent, { type: 'completion' }> {
  const last = events.at(-1);
  if (last?.type !== 'completion') throw new Error(`the last event is ${last?.type}`);
  return last;
}
