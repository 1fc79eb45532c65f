import { randomBytes } from 'node:crypto';
import { type GuestInit, guestNetwork } from '@citb/api';
import type { LiveBox } from './access.ts';
import { machineId } from './names.ts';
import type { BoxParts } from './parts.ts';

/** Fresh bytes for the guest's random pool: twice what Linux wants for a seed. */
const entropyBytes = 64;

/** An answer within this, in ms, has set the clock well enough for builds and certificates. */
const promptMs = 500;
/** A busy machine is not waited for: its clock is then off by what the last hand-over took. */
const maxHandOvers = 3;

/**
 * Makes a booted machine this box: envd gets token, environment, clock, identity and entropy; then the agent server, where there
 * is one, takes tasks. Only with both done is a box of use, so `create` answers after it and the first task starts at once.
 * @param token of a machine that was saved: the one that the guest knows, which gets this box's in its place
 */
export async function handOver(parts: BoxParts, box: LiveBox, token: string | undefined, signal: AbortSignal): Promise<void> {
  const { guest, settings } = parts;
  const end = performance.now() + settings.startDeadlineMs;
  const agentReady = async (): Promise<void> => {
    if (box.agent) await guest.waitForAgent(box.vm, box.accessToken, { signal, deadlineMs: Math.max(1, end - performance.now()) });
  };
  if (token === undefined) {
    await guest.waitForEnvd(box.vm, { signal, deadlineMs: settings.startDeadlineMs });
    await initialise(parts, box, box.accessToken, signal);
    await agentReady();
  } else {
    // A machine that was saved is up as soon as it runs.
    await Promise.all([initialise(parts, box, token, signal), agentReady()]);
  }
}

/** @param token the one that the guest knows */
async function initialise(parts: BoxParts, box: LiveBox, token: string, signal: AbortSignal): Promise<void> {
  // A hand-over that took long brought a time that was old when it came: once more, now that the guest has loaded all it needs.
  for (let tries = 0, took = Infinity; tries < maxHandOvers && took > promptMs; tries++) {
    const started = performance.now();
    await parts.guest.initialise(box.vm, tries === 0 ? token : box.accessToken, initOf(parts, box), signal);
    took = performance.now() - started;
  }
}

function initOf({ rows, settings, now }: BoxParts, box: LiveBox): GuestInit {
  return {
    accessToken: box.accessToken,
    timestamp: new Date(now()).toISOString(),
    envVars: { ...rows.secrets(box.id).envVars },
    lifecycleID: box.runId,
    // Host names have no "_" and at most 63 characters (RFC 1123); the id may have both.
    identity: { boxId: box.id, hostname: box.id.replaceAll('_', '-').slice(0, 63), machineId: machineId(box.id) },
    entropy: randomBytes(entropyBytes).toString('base64'),
    agent: { anthropicBaseUrl: `http://${guestNetwork.broker}`, model: settings.model },
  };
}
