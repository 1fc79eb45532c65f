import { setTimeout as sleep } from 'node:timers/promises';
import { templateIdentity } from '@citb/api';
import { launchFor } from './claude/launch.ts';
import { mainConversation, resumed } from './conversations/choose.ts';
import type { RunContext } from './tasks/run.ts';

/** How often the init file is looked for, in ms. */
const lookMs = 100;

/** Waits until the box has been initialised. False when `signal` came first. */
export async function initialised(context: Pick<RunContext, 'init'>, signal: AbortSignal): Promise<boolean> {
  while (context.init() === undefined) {
    if (signal.aborted) return false;
    await sleep(lookMs);
  }
  return true;
}

/** In a clone: makes what the template came with this box's own as soon as the host has said which box it is. */
export async function settleIn({ init, agent }: Pick<RunContext, 'init' | 'agent'>, signal: AbortSignal): Promise<void> {
  for (; !signal.aborted; await sleep(lookMs)) {
    const boxId = init()?.identity?.boxId;
    if (boxId !== undefined && boxId !== templateIdentity.boxId) return agent.settleIn(boxId);
  }
}

/**
 * Starts Claude Code before the first task, for the box's own conversation and the default options: a task that wants just
 * this finds it waiting. This is the point at which a template is taken: the process is initialised and has no session on the
 * disk. A clone whose environment differs starts another one.
 */
export async function prewarm(context: RunContext): Promise<void> {
  const { init, agent, memory, settings, log } = context;
  const now = init();
  if (now?.agent === undefined) return;
  try {
    const { session } = await resumed(mainConversation, now, memory, undefined);
    agent.warm(launchFor(settings, now, mainConversation, session, {}));
  } catch (error) {
    log.warn({ err: error }, 'could not start Claude Code ahead');
  }
}
