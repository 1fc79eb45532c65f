import type { StandingGuest } from '../checkpoints/parts.ts';
import type { GuestClients } from './clients.ts';

/** The guest's clock is set by a process, which takes a while in an emulated guest, ms. */
const clockMs = 20_000;

/** envd, around a moment in which the CPUs stand. */
export function standingGuest(clients: Pick<GuestClients, 'envd'>): StandingGuest {
  return {
    flush: (box, signal) => clients.envd(box).done({ method: 'POST', path: '/flush', signal }),
    setClock: (box, timestamp) =>
      clients.envd(box).done({ method: 'POST', path: '/clock', body: { json: { timestamp } }, timeoutMs: clockMs }),
  };
}
