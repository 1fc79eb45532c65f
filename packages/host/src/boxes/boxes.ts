import { ApiError, type Box, type DrainReport, type MaintenanceReport } from '@citb/api';
import type { Boxes, NewBox } from '../services.ts';
import type { VmRecord } from '../vmm/vmm.ts';
import type { BoxAccess, LiveBox } from './access.ts';
import { Activity } from './activity.ts';
import { claimBox } from './create.ts';
import { drainBoxes } from './drain.ts';
import { BoxEvents } from './events/events.ts';
import { Expiry } from './expiry.ts';
import { IdleWatch, type RestReason } from './idle.ts';
import { inBox } from './in-box.ts';
import { endTime, warnOfExpiry } from './lifetime.ts';
import { LiveBoxes } from './live.ts';
import { listBoxes } from './list.ts';
import type { BoxParts } from './parts.ts';
import { RecentFailures } from './recent-failures.ts';
import { reconcile } from './reconcile.ts';
import { removeBox } from './remove.ts';
import { type BoxRow, boxOf } from './rows.ts';
import { pauseBox } from './pause.ts';
import { changeBox } from './settings.ts';
import { startBox } from './start.ts';
import { stopBox } from './stop.ts';
import { Writers } from './writer.ts';

/** All that has to do with boxes, put together. */
export interface BoxesModule {
  /** For the routes. */
  readonly boxes: Boxes;
  /** For the services that reach into boxes. */
  readonly access: BoxAccess;
  /** For the status page. */
  readonly live: LiveBoxes;
  /** For the other verbs of boxes: checkpoints, forks, export and import. */
  readonly parts: BoxParts;
  /** Puts right what a crash left; calls at once share one run. Call it before the first request, then every 60 s. */
  reconcile(): Promise<MaintenanceReport>;
  /** Saves all running boxes to their disks, the one used last first; new requests get host_stopping from then on. */
  drain(deadline: AbortSignal): Promise<DrainReport>;
  /** Machines go on running; creations on their way are taken back. New requests get host_stopping. */
  close(): Promise<void>;
}

/** What {@link createBoxes} makes itself is left out. */
export type BoxesOptions = Omit<BoxParts, 'live' | 'writers' | 'failures' | 'events' | 'restingBoxes'> & {
  /** CPU time that a VMM has used, in ms. */
  readonly cpuTime: (record: VmRecord) => number | undefined;
};

/** A box that was there before and does not answer within this is told as unreachable, in ms. */
const answerMs = 30_000;

/** Nothing is started, opened or scheduled before `reconcile`. */
export function createBoxes({ cpuTime, ...options }: BoxesOptions): BoxesModule {
  const parts: BoxParts = {
    ...options,
    live: new LiveBoxes(options.log),
    writers: new Writers<LiveBox>(),
    failures: new RecentFailures(options.now),
    events: new BoxEvents(options.rows.store, options.now),
    restingBoxes: { pauseOne: (missingMib) => idle.pauseOne(missingMib) },
  };
  const { rows, live, writers, logs, events, modelKeys, log, now, admission } = parts;
  const activity = new Activity(now);
  const expiry = new Expiry(() => rows.nextExpiry(), expireNow, now);
  const pause = (id: string, why: RestReason, still: () => boolean): Promise<void> =>
    writers.run(id, () => pauseBox(parts, id, { why, still }));
  const busy = (id: string): boolean => writers.busy(id);
  const heldMib = (id: string): number => admission.heldMib(id);
  const idle = new IdleWatch({ live, rows, events, activity, cpuTime, pause, busy, heldMib, log, now });
  let stopping = false;
  let reconciling: Promise<MaintenanceReport> | undefined;

  // A time that was used up begins anew when its box wakes.
  live.onStarted(() => stopping || expiry.arm());

  function row(id: string): BoxRow {
    const found = rows.get(id);
    if (found === undefined) throw new ApiError('box_not_found');
    return found;
  }

  function start(id: string): Promise<LiveBox> {
    return writers.start(id, (signal) => startBox(parts, id, signal));
  }

  async function awake(id: string): Promise<LiveBox> {
    if (stopping) throw new ApiError('host_stopping');
    const box = live.get(id);
    if (box !== undefined) return box;
    if (row(id).intent === 'kill') throw new ApiError('box_killed');
    return await start(id);
  }

  async function wanted(id: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted || rows.get(id)?.asleep !== true) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = (): void => resolve();
    const leave = live.onStarted((box) => box.id === id && resolve());
    signal.addEventListener('abort', onAbort);
    await promise;
    signal.removeEventListener('abort', onAbort);
    leave();
  }

  const access: BoxAccess = {
    awake,
    ifRunning: (id) => live.get(id),
    use: (id) => activity.enter(id),
    wanted,
    wentToSleep: (box) => live.wentToSleep(box),
    onStarted: (listener) => live.onStarted(listener),
    onLost: (listener) => live.onLost(listener),
    onKilled: (listener) => live.onKilled(listener),
    note: (id, line) => logs.note(id, line),
  };

  /** Nobody may have noticed yet that the machine of a box is gone. */
  async function answers({ vm }: LiveBox): Promise<void> {
    const gone = vm.exited.then(() => {
      throw new ApiError('box_unreachable');
    });
    await Promise.race([parts.guest.waitForEnvd(vm, { deadlineMs: answerMs }), gone]);
  }

  async function create(request: NewBox, idempotencyKey?: string): ReturnType<Boxes['create']> {
    if (stopping) throw new ApiError('host_stopping');
    const modelKey = request.envVars['ANTHROPIC_API_KEY'];
    const takeKey = (id: string): void => {
      if (modelKey !== undefined && modelKey !== '') modelKeys.set(id, modelKey);
    };
    let started: Promise<LiveBox> | undefined;
    const { id, created } = await claimBox(parts, request, idempotencyKey, (made) => {
      takeKey(made);
      started = start(made);
    });
    // Also for a box that was there: a caller who sends a new key has a reason.
    if (started === undefined) takeKey(id);
    expiry.arm();
    await (started ?? inBox(access, id, answers));
    return { box: boxOf(row(id)), created };
  }

  async function kill(id: string): Promise<void> {
    row(id);
    if (stopping) throw new ApiError('host_stopping');
    rows.intend(id, 'kill');
    await writers.kill(id, () => removeBox(parts, id, 'kill'));
  }

  function expireNow(): void {
    warnOfExpiry(parts);
    for (const expired of rows.expired()) {
      const { id, onTimeout } = expired;
      if (writers.busy(id) && onTimeout !== 'kill') continue;
      logs.note(id, 'its time is over');
      const end = onTimeout === 'kill' ? kill(id) : endTime(parts, expired, onTimeout);
      end.catch((error: unknown) => log.error({ err: error, box: id, action: onTimeout }, 'the end of a box failed; it is tried again'));
    }
  }

  /** Something that the box's writer does, and the box after it. */
  async function written(id: string, work: (signal: AbortSignal) => Promise<void>): Promise<Box> {
    row(id);
    if (stopping) throw new ApiError('host_stopping');
    await writers.run(id, work);
    return boxOf(row(id));
  }

  return {
    boxes: {
      create,
      get: async (id) => boxOf(row(id)),
      byUser: async (userId) => {
        const found = rows.byUser(userId);
        if (found === undefined) throw new ApiError('box_not_found', 'The user has no box.');
        return boxOf(found);
      },
      list: async (query) => listBoxes(rows, query),
      kill,
      pause: (id) => written(id, () => pauseBox(parts, id, { why: 'request' })),
      stop: (id) => written(id, (signal) => stopBox(parts, id, 'request', signal)),
      resume: async (id) => {
        await awake(id);
        return boxOf(row(id));
      },
      update: async (id, change) => {
        changeBox(parts, row(id), change);
        expiry.arm();
        return boxOf(row(id));
      },
      events: (id, after, signal) => {
        row(id);
        return events.read(id, after, signal);
      },
      logs: (id, query) => {
        row(id);
        return logs.read(id, query);
      },
    },
    access,
    live,
    parts,
    reconcile: () => {
      reconciling ??= reconcile(parts).finally(() => {
        reconciling = undefined;
        if (stopping) return;
        expiry.arm();
        idle.start();
      });
      return reconciling;
    },
    drain: async (deadline) => {
      stopping = true;
      expiry.stop();
      idle.stop();
      return await drainBoxes(parts, activity, deadline);
    },
    close: async () => {
      stopping = true;
      expiry.stop();
      idle.stop();
      events.close();
      await writers.close(new ApiError('host_stopping'));
      await reconciling?.catch(() => undefined);
      logs.close();
    },
  };
}
