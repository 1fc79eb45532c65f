import { setTimeout as sleep } from 'node:timers/promises';
import { type AgentTaskRequest, ApiError, type GuestInit, type NewTaskEvent, fileBytes } from '@citb/api';
import type { Logger } from '@citb/daemon';
import { freshUuid } from '../../fresh-uuid.ts';
import type { Agent } from '../claude/agent.ts';
import { launchFor } from '../claude/launch.ts';
import type { ClaudeSession } from '../claude/session.ts';
import { type Chosen, type Memory, chooseSession } from '../conversations/choose.ts';
import type { Flush } from '../../flush.ts';
import { isDiskFull } from '../durable.ts';
import { status } from '../events/mapping.ts';
import { type Trouble, errorEvent } from '../events/model-errors.ts';
import { Turn } from '../events/turn.ts';
import type { AgentSettings } from '../settings.ts';
import { type Conclusion, type StopReason, conclusionOf, failed } from './conclusion.ts';
import type { Journal } from './journal.ts';
import { Questions } from './questions.ts';

/** What a running task needs around it. */
export interface RunContext {
  readonly settings: AgentSettings;
  readonly init: () => GuestInit | undefined;
  readonly agent: Agent;
  readonly memory: Memory;
  /** Writes a file of the task into the workspace, confined to it. @throws ApiError */
  readonly writeFile: (path: string, bytes: Buffer) => Promise<void>;
  /** What the agent wrote is on the disk before its task is said to be done. */
  readonly flush: Flush;
  readonly log: Logger;
}

const defaultTimeoutS = 3600;
/** From the interrupt to idle; 6 to 19 ms were measured, a stuck process never gets there. */
const interruptMs = 10_000;
/** A turn that Claude Code began by itself, about background work that ended, may finish before the next task. */
const ownTurnMs = 30_000;
/** How long a message may take to get into the transcript: in an emulated guest with a busy host more than 5 s. */
const savedMs = 30_000;

/** One task from its start to its completion. */
export class TaskRun {
  readonly questions: Questions;
  readonly #request: AgentTaskRequest;
  readonly #journal: Journal;
  readonly #context: RunContext;
  readonly #stopping = Promise.withResolvers<void>();
  #stopped: StopReason | undefined;

  constructor(request: AgentTaskRequest, journal: Journal, context: RunContext) {
    this.#request = request;
    this.#journal = journal;
    this.#context = context;
    this.questions = new Questions((event) => this.#emit(event));
  }

  /** Asks the task to end soon. */
  stop(reason: StopReason): void {
    this.#stopped ??= reason;
    this.#stopping.resolve();
  }

  /** Does the task; the completion is in the journal when it returns. Never throws. */
  async run(): Promise<void> {
    const timeoutMs = (this.#request.options.timeout_s ?? defaultTimeoutS) * 1000;
    const timer = setTimeout(() => this.stop('timeout'), timeoutMs);
    let conclusion: Conclusion;
    try {
      conclusion = await this.#work();
    } catch (error) {
      // A wrong file name is the caller's mistake, and is told to the caller.
      if (!(error instanceof ApiError)) this.#context.log.error({ err: error, task: this.#request.id }, 'task failed');
      conclusion = failed(troubleFrom(error));
    } finally {
      clearTimeout(timer);
      this.questions.close();
    }
    await this.#end(conclusion);
  }

  async #work(): Promise<Conclusion> {
    this.#emit(status('started'));
    // On the disk before anything is done: a machine that is cut off must not do it all again. A full disk shows in what follows.
    await this.#journal.sync().catch(() => undefined);
    for (const [path, content] of Object.entries(this.#request.files)) {
      if (this.#stopped !== undefined) break;
      await this.#context.writeFile(path, fileBytes(content));
    }
    if (this.#stopped !== undefined) return conclusionOf(undefined, this.#stopped);
    const { init, agent, memory, settings } = this.#context;
    const now = init();
    if (now?.agent === undefined) return failed({ code: 'not_ready', message: 'The box has not been told where the model is.' });
    const chosen = await chooseSession(this.#request, now, memory, agent.session?.launch);
    if (chosen.lost)
      this.#emit(status('memory_lost', { message: 'The earlier conversation was not found on the disk; a new one begins.' }));
    await memory.transcripts.prepare(chosen.session.id);
    const launch = launchFor(settings, now, chosen.conversation, chosen.session, this.#request.options);
    const acquire = async (): Promise<ClaudeSession> => await agent.acquire(launch, this.#stopping.promise);
    const session = await acquire();
    if (this.#stopped !== undefined) return conclusionOf(undefined, this.#stopped);
    // Somebody else's turn is finished or stopped first, for a message that comes into it gets no result of its own.
    if (!(await session.quiet(ownTurnMs))) await settle(session, session.quiet(interruptMs));
    return this.#converse(session.alive ? session : await acquire(), chosen);
  }

  async #converse(session: ClaudeSession, chosen: Chosen): Promise<Conclusion> {
    const promptId = freshUuid();
    const turn = new Turn(promptId, (event) => this.#emit(event));
    session.listen({ onMessage: (message) => turn.take(message), onQuestion: this.questions.ask });
    try {
      session.send(this.#request.prompt, promptId);
      await Promise.race([turn.idle, session.gone, this.#stopping.promise]);
      if (this.#stopped !== undefined) await settle(session, turn.idle);
    } finally {
      session.listen(undefined);
    }
    const died = !session.alive && this.#stopped === undefined;
    const conclusion = died ? failed(deathOf(await session.gone)) : conclusionOf(turn.end(), this.#stopped);
    return { ...(await this.#checkSaved(conclusion, turn, chosen)), sessionId: chosen.session.id };
  }

  /** A task is done only when its conversation is kept: what was said would be forgotten at the next start. */
  async #checkSaved(conclusion: Conclusion, turn: Turn, chosen: Chosen): Promise<Conclusion> {
    if (conclusion.outcome !== 'done' || turn.answerId === undefined) return conclusion;
    const saved = !turn.transcriptLost && (await this.#context.memory.transcripts.holds(chosen.session.id, turn.answerId, savedMs));
    if (saved) return conclusion;
    const trouble: Trouble = {
      code: 'transcript_lost',
      message: 'The agent answered, but the conversation could not be saved: the state disk of the box is full or read-only.',
      hint: 'Files are kept. The agent may not remember this task.',
    };
    return { ...conclusion, outcome: 'failed', trouble };
  }

  #emit(event: NewTaskEvent): void {
    this.#journal.append(event);
    if (this.#journal.failure !== undefined) this.stop('journal_full');
  }

  async #end(conclusion: Conclusion): Promise<void> {
    const { usage, trouble, sessionId } = conclusion;
    if (usage !== undefined) this.#emit({ type: 'usage', content: usage });
    if (trouble !== undefined) this.#emit(errorEvent(trouble));
    await this.#context.flush();
    try {
      await this.#journal.end({
        type: 'completion',
        content: conclusion.content,
        outcome: conclusion.outcome,
        stop_reason: conclusion.stopReason,
        ...(sessionId === undefined ? {} : { session_id: sessionId }),
        ...(usage === undefined ? {} : { usage }),
      });
    } catch (error) {
      this.#context.log.error({ err: error, task: this.#request.id }, 'completion is not on the disk');
    }
  }
}

/** Interrupts a turn; kills the process when that has no effect in time. The conversation stays resumable. */
async function settle(session: ClaudeSession, idle: Promise<unknown>): Promise<void> {
  const interrupted = session.interrupt().catch(() => undefined);
  const ended = Promise.all([interrupted, idle]).then(() => true);
  const inTime = await Promise.race([ended, session.gone.then(() => true), sleep(interruptMs, false, { ref: false })]);
  if (!inTime) session.kill();
}

function deathOf(reason: string): Trouble {
  return {
    code: 'agent_died',
    message: `The agent's process ended in the middle of the task: ${reason}.`,
    hint: 'Files and conversation are kept; send a new task to go on.',
  };
}

function troubleFrom(error: unknown): Trouble {
  if (error instanceof ApiError) return { code: error.code, message: error.message, hint: error.hint };
  if (isDiskFull(error))
    return { code: 'disk_full', message: 'The disk of the box is full.', hint: 'Remove files in the box, then send the task again.' };
  return { code: 'agent_failed', message: 'The task could not be run in the box.', hint: 'Try again; the log of the box has the details.' };
}
