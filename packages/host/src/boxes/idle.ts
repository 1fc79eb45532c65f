import type { Logger } from '@citb/daemon';
import type { VmRecord } from '../vmm/vmm.ts';
import type { LiveBox } from './access.ts';
import type { Activity } from './activity.ts';
import type { BoxEvents } from './events/events.ts';
import type { LiveBoxes } from './live.ts';
import type { BoxRow, BoxRows } from './rows.ts';

/**
 * A machine that uses more than this share of one core between two looks is at work, whatever the host knows of it: something runs in
 * the background. Measured on emulated machines at rest, where each tick of a timer costs most: bash 0.03-0.04, claude-agent after a
 * task 0.09-0.12 with single looks of 0.22; a busy loop takes 1.
 */
export const busyShare = 0.3;
/** Between two looks, in ms; a box with a short idle time is looked at ten times within it. */
const lookMs = 5000;
const shortestLookMs = 200;
/** A box that rests for less is not put to sleep for another one that needs its memory, in ms. */
export const restedMs = 30_000;
/** A look at what a machine has used since one that is younger than this says little, in ms. */
const freshMs = 1000;
/** How long before a pause its warning comes: a minute, or a tenth of a shorter idle time. */
const warningMs = 60_000;

/** Boxes that could sleep, for who needs their memory. */
export interface RestingBoxes {
  /**
   * Puts the box to sleep that has rested longest, at least {@link restedMs}.
   * @param missingMib how much memory is needed
   * @returns true when it is worth trying again; false when all that rest together do not have so much memory
   */
  pauseOne(missingMib: number): Promise<boolean>;
}

/** Why a box that rests is paused: its time is over, or another one needs its memory. */
export type RestReason = 'idle' | 'memory';

export interface IdleParts {
  readonly live: LiveBoxes;
  readonly rows: BoxRows;
  readonly events: BoxEvents;
  readonly activity: Activity;
  /** CPU time of a VMM in ms, with what it waited for a processor. */
  readonly cpuTime: (record: VmRecord) => number | undefined;
  /** Pauses a box if, when it is its turn, `still` holds. */
  readonly pause: (boxId: string, why: RestReason, still: () => boolean) => Promise<void>;
  /** A box's writer is at work. */
  readonly busy: (boxId: string) => boolean;
  /** Memory that a box's machine holds, MiB. */
  readonly heldMib: (boxId: string) => number;
  readonly log: Logger;
  readonly now: () => number;
}

/** What was seen of one run of a box. */
interface Seen {
  readonly runId: string;
  /** When it last did something. */
  active: number;
  cpuMs: number;
  at: number;
  /** The end of its rest that was warned of. */
  warned: number | undefined;
  pauseAt: number;
  pausing: boolean;
}

/** Pauses boxes in which nothing happens. Looks at running boxes only; what it has seen is forgotten with the daemon. */
export class IdleWatch implements RestingBoxes {
  readonly #parts: IdleParts;
  readonly #seen = new Map<string, Seen>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = true;
  #lookedAt = 0;
  #pausingOne: Promise<boolean> | undefined;

  constructor(parts: IdleParts) {
    this.#parts = parts;
  }

  /** Begins to look; nothing happens when it does already. */
  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#arm(shortestLookMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** One look at all running boxes: warns of pauses and begins those that are due. Returns when the next look is wanted, in ms. */
  look(): number {
    const { live, rows, activity } = this.#parts;
    let next = lookMs;
    this.#lookedAt = this.#parts.now();
    const boxes = live.all();
    const ids = new Set(boxes.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!ids.has(id)) this.#seen.delete(id);
    activity.forgetAllBut(ids);
    for (const box of boxes) {
      const row = rows.get(box.id);
      if (row === undefined) continue;
      const seen = this.#observe(box);
      if (row.idleS === 0) continue;
      next = Math.min(next, Math.max(shortestLookMs, row.idleS * 100));
      this.#judge(row, seen);
    }
    return next;
  }

  async pauseOne(missingMib: number): Promise<boolean> {
    // Who comes meanwhile may find that it was enough for both.
    if (this.#pausingOne !== undefined) return await this.#pausingOne.then(() => true);
    this.#pausingOne = this.#pauseLongest(missingMib).finally(() => (this.#pausingOne = undefined));
    return await this.#pausingOne;
  }

  async #pauseLongest(missingMib: number): Promise<boolean> {
    const { live, activity, busy, heldMib, now } = this.#parts;
    if (now() - this.#lookedAt >= freshMs) this.look();
    const resting = live.all().flatMap(({ id }) => {
      const seen = this.#seen.get(id);
      if (seen === undefined || seen.pausing || busy(id) || !this.#rests(id, seen, dueForAnother)) return [];
      return [{ id, seen, active: Math.max(seen.active, activity.last(id)) }];
    });
    const [longest] = resting.toSorted((a, b) => a.active - b.active);
    if (longest === undefined || resting.reduce((sum, { id }) => sum + heldMib(id), 0) < missingMib) return false;
    await this.#pause(longest.id, longest.seen, 'memory', dueForAnother);
    return true;
  }

  /** Whether the box has done something since the last look. */
  #observe({ id, runId, vm }: LiveBox): Seen {
    const { activity, cpuTime } = this.#parts;
    const now = this.#parts.now();
    const cpuMs = cpuTime(vm.record) ?? 0;
    let seen = this.#seen.get(id);
    if (seen?.runId !== runId) {
      seen = { runId, active: now, cpuMs, at: now, warned: undefined, pauseAt: 0, pausing: false };
      this.#seen.set(id, seen);
    }
    const working = cpuMs - seen.cpuMs > (now - seen.at) * busyShare;
    if (activity.busy(id) || working) seen.active = now;
    seen.active = Math.max(seen.active, activity.last(id));
    seen.cpuMs = cpuMs;
    seen.at = now;
    return seen;
  }

  #judge(row: BoxRow, seen: Seen): void {
    const { events, now } = this.#parts;
    const due = dueOf(row, seen.active);
    const notice = Math.min(warningMs, row.idleS * 100);
    if (now() < due - notice) return;
    if (seen.warned === due) {
      if (now() >= seen.pauseAt) void this.#pause(row.id, seen, 'idle', dueOf);
      return;
    }
    // A look that comes late, on a busy host, does not take away the warning.
    seen.warned = due;
    seen.pauseAt = Math.max(due, now() + notice);
    events.add(row.id, 'idle_warning', { at: new Date(seen.pauseAt).toISOString() });
  }

  /** @param from when a box may be paused */
  #rests(id: string, seen: Seen, from: typeof dueOf): boolean {
    const { activity, rows, now } = this.#parts;
    const row = rows.get(id);
    return row !== undefined && row.idleS > 0 && !activity.busy(id) && now() >= from(row, Math.max(seen.active, activity.last(id)));
  }

  async #pause(id: string, seen: Seen, why: RestReason, from: typeof dueOf): Promise<void> {
    if (seen.pausing) return;
    seen.pausing = true;
    const { pause, log, now } = this.#parts;
    try {
      await pause(id, why, () => this.#rests(id, seen, from));
    } catch (error) {
      log.warn({ err: error, box: id }, 'an idle box could not be paused; it is tried again after another idle time');
    } finally {
      seen.pausing = false;
      // A box that is still there has a reason to be: it begins anew.
      seen.active = Math.max(seen.active, now());
    }
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      let next = lookMs;
      try {
        next = this.look();
      } catch (error) {
        this.#parts.log.error({ err: error }, 'idle boxes could not be looked for; it is tried again');
      }
      if (!this.#stopped) this.#arm(next);
    }, ms);
    this.#timer.unref();
  }
}

/** When a box that was last active at `active` is paused. */
function dueOf({ idleS, keepAliveUntil }: BoxRow, active: number): number {
  return Math.max(active + idleS * 1000, keepAliveUntil ?? 0);
}

/** From when on a box that was last active at `active` may be paused for another one. */
function dueForAnother({ idleS, keepAliveUntil }: BoxRow, active: number): number {
  return Math.max(active + Math.min(idleS * 1000, restedMs), keepAliveUntil ?? 0);
}
