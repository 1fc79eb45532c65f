import { ApiError } from '@citb/api';
import { adoptBox, mayHaveMachine } from './adopt.ts';
import type { LiveBox } from './access.ts';
import { cloneBox } from './clone.ts';
import { startMachine } from './machine.ts';
import { MachineHangs } from './hang.ts';
import type { BoxParts } from './parts.ts';
import { failuresInARow } from './recent-failures.ts';
import { removeBox } from './remove.ts';
import type { BoxRow } from './rows.ts';
import { wakeBox } from './wake.ts';

/** A try that took longer is not repeated, in ms: its caller has waited enough. */
const quickMs = 20_000;
/** Machines of one start that hang while they boot and are tried again, whatever it takes; one in hundreds does. */
const maxHangs = 2;

/**
 * The writer's `start`: the box awake, whatever it was before. A machine that still runs is adopted, one that was saved is
 * restored, one that is gone is booted from its disk; what fails is tried again, until the box failed {@link failuresInARow} times within a minute.
 * @throws box_not_found, box_killed, box_failed, host_full, host_disk_full, image_failed
 */
export async function startBox(parts: BoxParts, id: string, signal: AbortSignal): Promise<LiveBox> {
  const live = parts.live.get(id);
  if (live !== undefined) return live;
  let row = present(parts, id);
  if (mayHaveMachine(row)) {
    const adopted = await adoptBox(parts, row);
    if (adopted !== undefined) return adopted;
    signal.throwIfAborted();
    row = present(parts, id);
  }
  parts.rows.intend(id, 'start');
  if (row.state === 'paused') {
    const woken = await wakeBox(parts, row, signal);
    if (woken !== undefined) return woken;
    row = present(parts, id);
    parts.rows.intend(id, 'start');
  }
  if (row.state === 'creating') {
    const clone = await cloneBox(parts, row, signal).catch((error: unknown) => giveUp(parts, row, error as Error, signal.aborted));
    if (clone !== undefined) return clone;
  }
  for (let hangs = 0; ;) {
    const began = performance.now();
    try {
      return await startMachine(parts, row, 'disk', signal);
    } catch (error) {
      const failure = signal.aborted ? (signal.reason as Error) : (error as Error);
      const hung = failure instanceof MachineHangs;
      if (hung) hangs += 1;
      const tooLong = hung ? hangs > maxHangs : performance.now() - began > quickMs;
      const final = signal.aborted || isRefusal(failure) || parts.failures.add(id) >= failuresInARow || tooLong;
      parts.log.warn({ err: failure, box: id, final }, 'a box could not be started');
      parts.logs.note(id, `could not be started: ${failure.message}`);
      if (!final) continue;
      return await giveUp(parts, row, failure, signal.aborted);
    }
  }
}

/** @throws box_not_found, box_killed */
function present({ rows }: BoxParts, id: string): BoxRow {
  const row = rows.get(id);
  if (row === undefined) throw new ApiError('box_not_found');
  if (row.intent === 'kill') throw new ApiError('box_killed');
  return row;
}

/** The host says no before a machine was tried: trying again at once changes nothing. */
function isRefusal(error: Error): boolean {
  return error instanceof ApiError && error.code !== 'box_failed' && error.code !== 'box_unreachable';
}

async function giveUp(parts: BoxParts, row: BoxRow, failure: Error, aborted: boolean): Promise<never> {
  const refusal = isRefusal(failure);
  const answer = refusal ? failure : new ApiError('box_failed', `The box could not be started: ${failure.message}`, { cause: failure });
  if (row.state === 'creating') {
    // Nobody was told of it: it is as if it had never been asked for. A kill that aborted the start removes it itself.
    if (!(aborted && parts.rows.get(row.id)?.intent === 'kill')) await removeBox(parts, row.id, 'undo');
  } else if (refusal) {
    parts.rows.forgetIntent(row.id);
  } else {
    parts.rows.store.transaction(() => {
      parts.rows.move(row.id, 'failed', 'start', failure.message);
      parts.events.add(row.id, 'failed', { reason: failure.message });
    });
    parts.failures.forget(row.id);
  }
  throw answer;
}
