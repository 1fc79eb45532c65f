import { ApiError, type MaintenanceReport } from '@citb/api';
import type { Boxes, NewBox } from '../services.ts';
import type { BoxAccess, LiveBox } from './access.ts';
import { claimBox } from './create.ts';
import { Expiry } from './expiry.ts';
import { inBox } from './in-box.ts';
import type { Addresses } from './ports.ts';
import { AddressBook } from './address-book.ts';
import { LiveBoxes } from './live.ts';
import { listBoxes } from './list.ts';
import type { BoxParts } from './parts.ts';
import { RecentFailures } from './recent-failures.ts';
import { reconcile } from './reconcile.ts';
import { removeBox } from './remove.ts';
import { type BoxRow, boxOf } from './rows.ts';
import { startBox } from './start.ts';
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
  /** Machines go on running; creations on their way are taken back. New requests get host_stopping. */
  close(): Promise<void>;
}

/** What {@link createBoxes} makes itself is left out. */
export type BoxesOptions = Omit<BoxParts, 'live' | 'writers' | 'failures' | 'addresses'> & { readonly addresses: Addresses };

/** A box that was there before and does not answer within this is told as unreachable, in ms. */
const answerMs = 30_000;

/** Nothing is started, opened or scheduled before `reconcile`. */
export function createBoxes({ addresses, ...options }: BoxesOptions): BoxesModule {
  const parts: BoxParts = {
    ...options,
    addresses: new AddressBook(addresses),
    live: new LiveBoxes(options.log),
    writers: new Writers<LiveBox>(),
    failures: new RecentFailures(options.now),
  };
  const { rows, live, writers, logs, modelKeys } = parts;
  const expiry = new Expiry(() => rows.nextExpiry(), expireNow, options.now);
  let stopping = false;
  let reconciling: Promise<MaintenanceReport> | undefined;

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

  const access: BoxAccess = {
    awake,
    ifRunning: (id) => live.get(id),
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
    for (const id of rows.expired()) {
      logs.note(id, 'its time is over');
      kill(id).catch((error: unknown) => parts.log.error({ err: error, box: id }, 'an expired box could not be killed; it is tried again'));
    }
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
        if (!stopping) expiry.arm();
      });
      return reconciling;
    },
    close: async () => {
      stopping = true;
      expiry.stop();
      await writers.close(new ApiError('host_stopping'));
      await reconciling?.catch(() => undefined);
      logs.close();
    },
  };
}
