import type { NewTaskEvent, TaskOutcome } from '@citb/api';
import type { SDKAssistantMessageError, SDKMessage, SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';
import { eventsOf } from './mapping.ts';
import { type Trouble, troubleOf } from './model-errors.ts';
import { type TaskUsage, usageOf } from './usage.ts';

/** How a task ended. */
export interface TurnEnd {
  readonly outcome: TaskOutcome;
  /** The last answer. */
  readonly answer: string;
  readonly trouble: Trouble | undefined;
  readonly stopReason: string | null;
  readonly usage: TaskUsage | undefined;
}

/**
 * One task's messages on their way from Claude Code to events. The end is not the `result` but the idle state after it:
 * a background subagent makes the agent go on, with a second result.
 */
export class Turn {
  readonly idle: Promise<void>;
  readonly #becomeIdle: () => void;
  readonly #emit: (event: NewTaskEvent) => void;
  readonly #promptId: string;
  readonly #results: SDKResultMessage[] = [];
  #sawSession = false;
  #answer = '';
  #answerId: string | undefined;
  #error: SDKAssistantMessageError | undefined;
  #lost = false;

  /** @param promptId uuid of the user message that begins the turn */
  constructor(promptId: string, emit: (event: NewTaskEvent) => void) {
    this.#promptId = promptId;
    this.#emit = emit;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.idle = promise;
    this.#becomeIdle = resolve;
  }

  /** uuid of the last message of the main agent, as the transcript has it. */
  get answerId(): string | undefined {
    return this.#answerId;
  }

  /** True when Claude Code says that it could not save the transcript. */
  get transcriptLost(): boolean {
    return this.#lost;
  }

  take(message: SDKMessage): void {
    for (const event of eventsOf(message)) this.#pass(event);
    if (message.type === 'assistant' && message.parent_tool_use_id === null) this.#remember(message);
    if (message.type === 'result' && this.#isOurs(message)) this.#results.push(message);
    if (message.type !== 'system') return;
    if (message.subtype === 'session_writes_lost') this.#lost ||= message.lost.includes('transcript');
    if (message.subtype === 'session_state_changed' && message.state === 'idle' && this.#results.length > 0) this.#becomeIdle();
  }

  /** What came of it, by the last result. */
  end(): TurnEnd {
    const last = this.#results.at(-1);
    if (last === undefined) return { outcome: 'failed', answer: this.#answer, trouble: undefined, stopReason: null, usage: undefined };
    const aborted = last.terminal_reason?.startsWith('aborted_') === true;
    const trouble = aborted ? undefined : troubleOf(last, this.#error);
    return {
      outcome: aborted ? 'interrupted' : trouble === undefined ? 'done' : 'failed',
      answer: last.subtype === 'success' && !last.is_error && last.result !== '' ? last.result : this.#answer,
      trouble,
      stopReason: last.stop_reason,
      usage: usageOf(this.#results),
    };
  }

  /** `init` comes with each turn of a session; one of them is enough for a task. */
  #pass(event: NewTaskEvent): void {
    if (event.type === 'status' && event.content.status === 'session') {
      if (this.#sawSession) return;
      this.#sawSession = true;
    }
    this.#emit(event);
  }

  #remember(message: Extract<SDKMessage, { type: 'assistant' }>): void {
    this.#error = message.error;
    if (message.error !== undefined) return;
    this.#answerId = message.uuid;
    for (const block of message.message.content) if (block.type === 'text' && block.text !== '') this.#answer = block.text;
  }

  /** A result of a turn that Claude Code began by itself names other messages or none. */
  #isOurs(result: SDKResultMessage): boolean {
    return this.#results.length > 0 || result.user_message_uuids === undefined || result.user_message_uuids.includes(this.#promptId);
  }
}
