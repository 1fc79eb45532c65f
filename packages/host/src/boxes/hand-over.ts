import { randomBytes } from 'node:crypto';
import { type GuestInit, guestNetwork } from '@citb/api';
import type { LiveBox } from './access.ts';
import { machineId } from './names.ts';
import type { BoxParts } from './parts.ts';

/** Fresh bytes for the guest's random pool: twice what Linux wants for a seed. */
const entropyBytes = 64;

/** The guest's clock is off by at most what the hand-over took. Within this, in ms, it is right. */
const promptMs = 50;
/** Within this, in ms, it is right enough for builds and certificates while the box is in use already. */
const passableMs = 2000;
/** A busy machine is not waited for. */
const maxHandOvers = 3;

/** An envd that died answers again within this, in ms; it takes an emulated guest two to three seconds. */
const envdBackMs = 20_000;

/** What the guest of a machine that was saved knows and has. */
export interface SavedGuest {
  /** The access token that it knows, which gets this box's in its place; undefined: nobody has taken it. */
  readonly token: string | undefined;
  /** Connections to the broker that lead nowhere now; undefined: it has to look. */
  readonly connections?: number | undefined;
}

/** One whose token is known. */
type KnownGuest = SavedGuest & { readonly token: string };

/**
 * Makes a booted machine this box: envd gets token, environment, clock, identity and entropy; then the agent server, where there
 * is one, takes tasks. Only with both done is a box of use, so `create` answers after it and the first task starts at once.
 * @param saved of a machine that was not booted
 */
export async function handOver(parts: BoxParts, box: LiveBox, saved: SavedGuest | undefined, signal: AbortSignal): Promise<void> {
  const { guest, settings } = parts;
  const end = performance.now() + settings.startDeadlineMs;
  const agentReady = async (): Promise<void> => {
    if (box.agent) await guest.waitForAgent(box.vm, box.accessToken, { signal, deadlineMs: Math.max(1, end - performance.now()) });
  };
  if (saved?.token === undefined) {
    await guest.waitForEnvd(box.vm, { signal, deadlineMs: settings.startDeadlineMs });
    await initialise(parts, box, { token: box.accessToken }, signal);
    await agentReady();
  } else {
    await Promise.all([initialiseSaved(parts, box, { ...saved, token: saved.token }, signal), agentReady()]);
  }
}

/**
 * A machine that was saved is up as soon as it runs. Its envd may die right then, as at any time, for what was under way in the guest goes on;
 * that must not cost the box its memory. The guest starts it again, and it knows whose it is: by the token of before or, when it had
 * taken it, by this box's.
 */
async function initialiseSaved(parts: BoxParts, box: LiveBox, saved: KnownGuest, signal: AbortSignal): Promise<void> {
  try {
    await initialise(parts, box, saved, signal);
  } catch (error) {
    signal.throwIfAborted();
    parts.logs.note(box.id, `the hand-over is tried again: ${(error as Error).message}`);
    await parts.guest.waitForEnvd(box.vm, { signal, deadlineMs: envdBackMs });
    try {
      await initialise(parts, box, saved, signal);
    } catch {
      await initialise(parts, box, { ...saved, token: box.accessToken }, signal);
    }
  }
}

async function initialise(parts: BoxParts, box: LiveBox, { token, connections }: KnownGuest, signal: AbortSignal): Promise<void> {
  const init = (): GuestInit => ({ ...initOf(parts, box), ...(connections === undefined ? {} : { openConnections: connections }) });
  const call = async (known: string, ending?: AbortSignal): Promise<number> => {
    // By the clock that the guest is told, so that a jump of that counts too.
    const told = parts.now();
    await parts.guest.initialise(box.vm, known, init(), ending);
    return parts.now() - told;
  };
  // A hand-over that took long brought a time that was old when it came: once more, now that the guest has loaded all it needs.
  let took = await call(token, signal);
  for (let tries = 1; tries < maxHandOvers && took > passableMs; tries++) took = await call(box.accessToken, signal);
  // Nobody waits for the last second of it; a box that sleeps or ends before has no use for it.
  if (took > promptMs) void call(box.accessToken).catch(() => undefined);
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
    ...(box.agent ? { agent: { anthropicBaseUrl: `http://${guestNetwork.broker}`, model: settings.model } } : {}),
  };
}
