import type { AgentTaskRequest, GuestInit } from '@citb/api';
import { freshUuid } from '../../fresh-uuid.ts';
import type { Launch, SessionChoice } from '../claude/launch.ts';
import type { Conversations } from './conversations.ts';
import { normalise } from './normalise.ts';
import type { Transcripts } from './transcripts.ts';

/** A box's own conversation. */
export const mainConversation = 'main';

/** The conversation that a task goes on, and the session of Claude Code that holds it. */
export interface Chosen {
  readonly conversation: string;
  readonly session: SessionChoice;
  /** The memory that the conversation had is gone. */
  readonly lost: boolean;
}

export interface Memory {
  readonly conversations: Conversations;
  readonly transcripts: Transcripts;
}

/**
 * Which session a task gets. The name is on the disk when this returns, so that it leads to the session whatever happens next.
 * @throws what the file system says
 */
export async function chooseSession(request: AgentTaskRequest, init: GuestInit, memory: Memory, live: Launch | undefined): Promise<Chosen> {
  const chosen =
    request.context === undefined
      ? await resumed(request.options.conversation ?? mainConversation, init, memory, live)
      : await fromContext(request.id, request.context, memory.transcripts);
  const boxId = init.identity?.boxId;
  await memory.conversations.set(chosen.conversation, {
    session_id: chosen.session.id,
    ...(boxId === undefined ? {} : { box_id: boxId }),
    used: new Date().toISOString(),
    from_context: request.context !== undefined,
  });
  return chosen;
}

/** The session of a conversation by name. Nothing is written. */
export async function resumed(name: string, init: GuestInit, memory: Memory, live: Launch | undefined): Promise<Chosen> {
  const entry = memory.conversations.get(name);
  const boxId = init.identity?.boxId;
  const ready = live?.conversation === name ? live : undefined;
  if (entry === undefined) {
    // A process that was started ahead waits for just this; not one that another box had, of which this is a fork.
    const usable = ready?.session.kind === 'new' && ready.boxId === boxId;
    return { conversation: name, session: usable ? ready.session : { kind: 'new', id: freshUuid() }, lost: false };
  }
  const known = ready?.session.id === entry.session_id || (await memory.transcripts.has(entry.session_id));
  if (!known) return { conversation: name, session: { kind: 'new', id: freshUuid() }, lost: true };
  const cloned = entry.box_id !== undefined && boxId !== undefined && entry.box_id !== boxId;
  const session: SessionChoice = cloned
    ? { kind: 'fork', from: entry.session_id, id: freshUuid() }
    : { kind: 'resume', id: entry.session_id };
  return { conversation: name, session, lost: false };
}

/** A conversation of its own, begun from just these messages, named after its task. */
async function fromContext(id: string, context: NonNullable<AgentTaskRequest['context']>, transcripts: Transcripts): Promise<Chosen> {
  const sessionId = freshUuid();
  const history = normalise(context);
  if (history.length === 0) return { conversation: id, session: { kind: 'new', id: sessionId }, lost: false };
  await transcripts.write(sessionId, history);
  return { conversation: id, session: { kind: 'resume', id: sessionId }, lost: false };
}
