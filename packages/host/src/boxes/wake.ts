import { ApiError } from '@citb/api';
import type { LiveBox } from './access.ts';
import { comeUp, startMachine } from './machine.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';
import { forgetSaved, pauseFolder } from './saved-folder.ts';
import { loadSaved } from './saved-machine.ts';

/** Machines that are tried with what was saved, as long as the CPUs of none have run. */
const maxTries = 2;

/**
 * A paused box as it was: memory, processes, open terminals' programs. What was saved is used up when the CPUs run, whatever comes of
 * it: from then on the disk changes, and old memory on a newer disk would destroy it. A daemon that is killed before leaves the box paused,
 * one that is killed after it leaves a machine that the next one takes over.
 * @param tries which one this is, from 1
 * @returns undefined when it could not be brought back: the box is `stopped` then, and boots from its disk
 * @throws the refusals of admission, and the box stays paused
 */
export async function wakeBox(parts: BoxParts, row: BoxRow, signal: AbortSignal, tries = 1): Promise<LiveBox | undefined> {
  const { rows } = parts;
  signal.throwIfAborted();
  const saved = row.saved ? loadSaved(pauseFolder(parts, row.id), rows.secrets(row.id).accessToken) : undefined;
  if (saved === undefined) {
    await wakeFailed(parts, row.id, 'What was saved of its machine is not complete.');
    return undefined;
  }
  try {
    const box = await startMachine(parts, row, { ...saved, how: 'restore' }, onlyKilled(signal));
    await forgetSaved(parts, row.id);
    return box;
  } catch (error) {
    const now = rows.get(row.id);
    // No machine was tried: what was saved is as good as before.
    if (now?.runId === row.runId) {
      rows.forgetIntent(row.id);
      throw error instanceof ApiError ? error : new ApiError('box_failed', (error as Error).message, { cause: error });
    }
    if (now?.saved === true && tries < maxTries && !signal.aborted) {
      parts.log.warn({ err: error, box: row.id }, 'a paused box could not be woken; it is tried again');
      return await wakeBox(parts, now, signal, tries + 1);
    }
    parts.log.warn({ err: error, box: row.id }, 'a paused box could not be woken; it boots from its disk');
    await wakeFailed(parts, row.id, (error as Error).message);
    signal.throwIfAborted();
    return undefined;
  }
}

/** A wake that an earlier daemon began: its CPUs run already. False when it could not be completed; its machine is gone then. */
export async function completeWake(parts: BoxParts, box: LiveBox): Promise<boolean> {
  try {
    await comeUp(parts, box, { token: box.accessToken }, AbortSignal.timeout(parts.settings.startDeadlineMs));
  } catch (error) {
    await box.vm.kill();
    parts.logs.detach(box.id);
    parts.admission.release(box.id);
    await parts.broker.close(box.id);
    await wakeFailed(parts, box.id, (error as Error).message);
    return false;
  }
  parts.rows.store.transaction(() => {
    parts.rows.move(box.id, 'running', 'start');
    parts.events.add(box.id, 'running', { how: 'restore', run_id: box.runId });
  });
  await forgetSaved(parts, box.id);
  return true;
}

/** Says so wherever somebody may look, and leaves the box to boot from its disk. */
export async function wakeFailed(parts: BoxParts, boxId: string, reason: string): Promise<void> {
  parts.rows.store.transaction(() => {
    parts.rows.move(boxId, 'stopped', 'wake', `Its memory could not be brought back: ${reason}`);
    parts.events.add(boxId, 'wake_failed', { reason });
  });
  parts.logs.note(boxId, `its memory could not be brought back, it boots from its disk: ${reason}`);
  await forgetSaved(parts, boxId);
}

/** A daemon that stops lets a wake come to its end: aborting it would cost the box its memory, and it takes seconds at most. */
function onlyKilled(signal: AbortSignal): AbortSignal {
  const killed = new AbortController();
  signal.addEventListener('abort', () => {
    const reason = signal.reason as unknown;
    if (!(reason instanceof ApiError) || reason.code !== 'host_stopping') killed.abort(reason);
  });
  return killed.signal;
}
