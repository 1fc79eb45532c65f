import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CanUseTool, Options, Query, SDKMessage, SDKUserMessage, WarmQuery } from '@anthropic-ai/claude-agent-sdk';
import type { Logger } from '@citb/daemon';
import { boxTools } from '../tools/server.ts';
import type { Fence } from './fence.ts';
import { PromptQueue } from './prompt-queue.ts';
import type { AgentSdk } from './sdk.ts';
import type { Launch } from './launch.ts';

/** What a live process tells. Set for the task that runs; between tasks nobody listens. */
export interface SessionListener {
  onMessage(message: SDKMessage): void;
  onQuestion: CanUseTool;
}

/** How long Claude Code gets to initialise ahead of a task, in ms; in an emulated guest on a busy host it took more than a minute. */
const initializeTimeoutMs = 300_000;
/** How long Claude Code gets to end by itself when its input ends, in ms; it took 1.2 s in the middle of a turn. */
const gracefulMs = 5000;

/** One live Claude process: one conversation, one task after the other. */
export class ClaudeSession {
  readonly launch: Launch;
  /** Settles when the process is gone, with a reason in words. Never rejects. */
  readonly gone: Promise<string>;
  readonly #fence: Fence;
  readonly #prompts = new PromptQueue<SDKUserMessage>();
  readonly #log: Logger;
  #query: Query | undefined;
  #parked = false;
  #warm: Promise<WarmQuery> | undefined;
  #listener: SessionListener | undefined;
  #alive = true;
  #stopping = false;
  #busy = false;
  #stderr = '';
  readonly #settle: (reason: string) => void;

  private constructor(launch: Launch, fence: Fence, log: Logger) {
    this.launch = launch;
    this.#fence = fence;
    this.#log = log;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.gone = promise;
    this.#settle = resolve;
  }

  /** Starts Claude Code for a task that is there. */
  static start(sdk: AgentSdk, launch: Launch, fence: Fence, log: Logger): ClaudeSession {
    const session = new ClaudeSession(launch, fence, log);
    session.#run(sdk.query({ prompt: session.#prompts, options: session.#options(sdk) }));
    return session;
  }

  /** Starts Claude Code ahead of a task: it waits, initialised, for its first prompt. */
  static warm(sdk: AgentSdk, launch: Launch, fence: Fence, log: Logger): ClaudeSession {
    const session = new ClaudeSession(launch, fence, log);
    session.#warm = sdk.startup({ options: session.#options(sdk), initializeTimeoutMs });
    session.#warm.then(
      () => (session.#parked = true),
      (error: unknown) => session.#end(reasonOf(error)),
    );
    return session;
  }

  /** Initialised and not used yet. */
  get parked(): boolean {
    return this.#parked && this.#alive;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** True from the first message of a turn to idle, also for turns that Claude Code begins by itself. */
  get busy(): boolean {
    return this.#busy;
  }

  listen(listener: SessionListener | undefined): void {
    this.#listener = listener;
  }

  /** Resolves when it takes a prompt. False when it ended before it got its first one, which costs nobody anything. */
  async ready(): Promise<boolean> {
    if (this.#warm === undefined) return this.#alive;
    const warm = await Promise.race([this.#warm.catch(() => undefined), this.gone.then(() => undefined)]);
    if (warm === undefined || !this.#alive) return false;
    // A task that was stopped meanwhile may have waited as well.
    if (this.#query === undefined) this.#run(warm.query(this.#prompts));
    this.#warm = undefined;
    this.#parked = false;
    return true;
  }

  /** Sends a user message when the session is `ready` and not busy, else it becomes part of the running turn. */
  send(prompt: string, id: string): void {
    this.#busy = true;
    const uuid = id as NonNullable<SDKUserMessage['uuid']>;
    this.#prompts.push({ type: 'user', message: { role: 'user', content: prompt }, parent_tool_use_id: null, uuid });
  }

  /** Asks Claude Code to stop the turn; idle follows. */
  async interrupt(): Promise<void> {
    await this.#query?.interrupt();
  }

  /** Waits until a turn that Claude Code began by itself is over. False when it is not in `ms`. */
  async quiet(ms: number): Promise<boolean> {
    for (const end = Date.now() + ms; this.#busy && this.#alive; await sleep(50)) if (Date.now() > end) return false;
    return true;
  }

  /** Kills the process and everything that it started. */
  kill(): void {
    if (!this.#alive) return;
    this.#end('it was killed');
    this.#query?.close();
  }

  /**
   * Ends the process: by itself, so that it saves all it has, else by force. What its tools left running on purpose (a server
   * that the user asked for) goes on when it ended by itself.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#prompts.end();
    // A process that was never used has no input that could end.
    if (this.#warm === undefined) await Promise.race([this.gone, sleep(gracefulMs, undefined, { ref: false })]);
    this.#stopping = false;
    this.kill();
  }

  #run(query: Query): void {
    this.#query = query;
    void this.#pump(query);
  }

  async #pump(query: Query): Promise<void> {
    try {
      for await (const message of query) {
        if (message.type === 'system' && message.subtype === 'session_state_changed') this.#busy = message.state !== 'idle';
        this.#listener?.onMessage(message);
      }
      this.#end('it ended');
    } catch (error) {
      this.#end(reasonOf(error));
    }
  }

  #end(reason: string): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#busy = false;
    this.#log.info({ reason, stderr: this.#stderr, conversation: this.launch.conversation }, 'claude process gone');
    // Children of its tools outlive it when it dies.
    if (!this.#stopping) this.#fence.kill();
    this.#settle(reason);
  }

  #options(sdk: AgentSdk): Options {
    return {
      ...this.launch.options,
      // A server serves one connection: each process has its own.
      mcpServers: boxTools(sdk, this.launch.options.env?.['ANTHROPIC_BASE_URL'] ?? ''),
      canUseTool: (name, input, context) => (this.#listener?.onQuestion ?? nobodyAnswers)(name, input, context),
      spawnClaudeCodeProcess: ({ command, args, cwd, env }) => this.#spawn(command, args, cwd, env),
    };
  }

  #spawn(
    command: string,
    args: string[],
    cwd: string | undefined,
    env: NodeJS.ProcessEnv,
  ): ChildProcessByStdio<Writable, Readable, Readable> {
    const inside = this.#fence.command(command, args);
    const child = spawn(inside.program, inside.args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...env, ...inside.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // Nobody reads from one that waits for its first prompt.
    child.once('exit', (code, signal) => {
      if (this.#query === undefined) this.#end(`it ended (${signal ?? code})`);
    });
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2000);
    });
    return child;
  }
}

const nobodyAnswers: CanUseTool = () => Promise.resolve({ behavior: 'deny', message: 'Nobody is there to answer.' });

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 500) : 'it failed';
}
