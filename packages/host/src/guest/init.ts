import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, agentPaths, type GuestInit } from '@citb/api';
import { z } from 'zod';
import type { GuestServer } from './server.ts';

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long to wait in all, in ms. */
  readonly deadlineMs: number;
}

const agentHealth = z.object({ agent: z.enum(['ready', 'starting']), parked: z.boolean() });

/** Resolves when envd answers. @throws box_unreachable when it does not within the deadline */
export function waitForEnvd(envd: GuestServer, options: WaitOptions): Promise<void> {
  return poll(options, 'The box has not started', (signal, timeoutMs) => envd.done({ method: 'GET', path: '/health', signal, timeoutMs }));
}

/** Resolves when the agent server takes tasks. @throws box_unreachable when it does not within the deadline */
export function waitForAgent(agent: GuestServer, options: WaitOptions): Promise<void> {
  return poll(options, 'The agent of the box has not started', async (signal, timeoutMs) => {
    const health = await agent.json({ method: 'GET', path: agentPaths.health, signal, timeoutMs }, agentHealth);
    if (health.agent !== 'ready') throw new ApiError('box_unreachable', 'The agent of the box is starting.');
  });
}

/** Resolves when Claude Code is started and waits for its first task. @throws box_unreachable when it does not within the deadline */
export function waitUntilParked(agent: GuestServer, options: WaitOptions): Promise<void> {
  return poll(options, 'The agent of the box has not been started ahead', async (signal, timeoutMs) => {
    const { parked } = await agent.json({ method: 'GET', path: agentPaths.health, signal, timeoutMs }, agentHealth);
    if (!parked) throw new ApiError('box_unreachable', 'The agent of the box is starting.');
  });
}

/**
 * The hand-over: token, environment, clock, identity and entropy. Only after it does anything else go on in a new or cloned box.
 * @throws box_unreachable also when the guest already belongs to somebody else
 */
export async function initialise(envd: GuestServer, init: GuestInit, signal?: AbortSignal): Promise<void> {
  await envd.done({ method: 'POST', path: '/init', body: { json: init }, signal, timeoutMs: 30_000 });
}

async function poll(
  { signal, deadlineMs }: WaitOptions,
  sentence: string,
  attempt: (signal: AbortSignal | undefined, timeoutMs: number) => Promise<void>,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (let pause = 20; ; pause = Math.min(pause * 1.5, 250)) {
    signal?.throwIfAborted();
    try {
      // User networking accepts a connection before the guest listens and drops it then: each attempt is short.
      await attempt(signal, Math.max(1, Math.min(5000, end - performance.now())));
      return;
    } catch (error) {
      if (performance.now() + pause >= end) {
        throw new ApiError('box_unreachable', `${sentence} within ${Math.round(deadlineMs / 1000)} s.`, { cause: error });
      }
    }
    await sleep(pause, undefined, signal === undefined ? {} : { signal });
  }
}
