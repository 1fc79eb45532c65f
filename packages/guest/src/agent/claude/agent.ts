import type { Logger } from '@citb/daemon';
import type { Fences } from './fence.ts';
import type { Launch } from './launch.ts';
import type { AgentSdk } from './sdk.ts';
import { ClaudeSession } from './session.ts';

/**
 * The one Claude process of the box. It stays from task to task while they need the same: the conversation, the model, the
 * environment. Anything else stops it and starts another, which resumes.
 */
export class Agent {
  readonly #sdk: AgentSdk;
  readonly #fences: Fences;
  readonly #log: Logger;
  #session: ClaudeSession | undefined;

  constructor(sdk: AgentSdk, fences: Fences, log: Logger) {
    this.#sdk = sdk;
    this.#fences = fences;
    this.#log = log;
  }

  get session(): ClaudeSession | undefined {
    return this.#session?.alive === true ? this.#session : undefined;
  }

  /**
   * The process for a task: the live one if it fits, else a new one. One caller at a time.
   * @param stopped ends the wait for one that was started ahead and is not ready yet; it is returned as it is
   */
  async acquire(launch: Launch, stopped: Promise<void>): Promise<ClaudeSession> {
    const live = this.session;
    if (live !== undefined && fits(live.launch, launch) && (await Promise.race([live.ready(), stopped.then(() => true)]))) return live;
    await this.stop();
    this.#session = ClaudeSession.start(this.#sdk, launch, this.#fences.create(), this.#log);
    return this.#session;
  }

  /** Starts a process ahead of its first task, unless one is live. */
  warm(launch: Launch): void {
    if (this.session !== undefined) return;
    this.#session = ClaudeSession.warm(this.#sdk, launch, this.#fences.create(), this.#log);
  }

  /** A process is started ahead and waits for its first prompt. */
  get parked(): boolean {
    return this.#session?.parked === true;
  }

  /** Ends the live process; its conversation is saved. */
  async stop(): Promise<void> {
    const session = this.session;
    await session?.stop();
    // A task may have begun another meanwhile.
    if (this.#session === session) this.#session = undefined;
  }
}

/** A task with a budget gets a process of its own: Claude Code counts per process. */
function fits(live: Launch, wanted: Launch): boolean {
  return live.key === wanted.key && wanted.options.maxBudgetUsd === undefined;
}
