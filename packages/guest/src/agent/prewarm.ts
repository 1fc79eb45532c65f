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

/**
 * In a clone, as soon as the host has said which box it is: Claude Code is started anew. The process that came with the template
 * has warmed up all that it takes, but its session id and the state of its random generator are in every clone.
 */
export async function leaveTemplate(context: RunContext, signal: AbortSignal): Promise<void> {
  const { init, agent } = context;
  while (init()?.identity?.boxId === templateIdentity.boxId) {
    if (signal.aborted) return;
    await sleep(lookMs);
  }
  if (agent.session?.launch.boxId !== templateIdentity.boxId) return;
  await agent.stop();
  await prewarm(context);
}
