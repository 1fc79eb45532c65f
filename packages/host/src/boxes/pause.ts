import { ApiError } from '@citb/api';
import type { LiveBox } from './access.ts';
import { adoptBox } from './adopt.ts';
import { loseBox, watchVm } from './lost.ts';
import type { BoxParts } from './parts.ts';
import { forgetSaved, pauseFolder } from './saved-folder.ts';
import { saveMachine } from './saved-machine.ts';
import { fallAsleep, type SleepReason } from './sleep.ts';

/** How long a guest may take to write what it holds back, in ms. */
const flushMs = 5000;

export interface PauseOptions {
  readonly why: SleepReason;
  /** Asked when it is this box's turn: false leaves it running. */
  readonly still?: () => boolean;
}

/**
 * The writer's `pause`: memory and processes on the disk, the machine gone. Requests that come meanwhile wait for the writer and
 * wake the box. Nothing that was acknowledged is cut: it was on the box's disk before, and is in its memory after.
 * @throws box_not_found, box_not_running, host_disk_full; pause_failed, and the box goes on running
 */
export async function pauseBox(parts: BoxParts, id: string, { why, still }: PauseOptions): Promise<void> {
  const { rows, live } = parts;
  const row = rows.get(id);
  if (row === undefined) throw new ApiError('box_not_found');
  if (row.state === 'paused') return whyAsleep(why) ? rows.setAsleep(id, true) : undefined;
  const box = live.get(id) ?? (row.state === 'running' ? await adoptBox(parts, row) : undefined);
  if (box === undefined) throw new ApiError('box_not_running', `The box is ${rows.get(id)?.state}, so it has no memory to keep.`);
  if (still?.() === false) return;
  await flush(parts, box);
  // It took a moment, and requests were still served.
  if (still?.() === false) return;
  // Its memory in full, and the reserve is there for everybody else.
  if (parts.admission.diskFreeMib < row.memoryMib) throw new ApiError('host_disk_full');
  rows.intend(id, 'pause');
  rows.setAsleep(id, whyAsleep(why));
  live.take(box);
  try {
    await forgetSaved(parts, id);
    const cut = await parts.broker.close(id);
    await saveMachine(parts, box, pauseFolder(parts, id), cut);
  } catch (error) {
    await takeBack(parts, box, error as Error);
    return;
  }
  live.fallsAsleep(box, 'paused');
  await box.vm.kill();
  await fallAsleep(parts, id, 'paused', why);
}

/** So that also a boot from the disk, should the memory not come back, loses nothing. A guest that does not answer is paused all the same. */
async function flush({ guest, logs }: BoxParts, { id, vm, accessToken }: LiveBox): Promise<void> {
  try {
    await guest.flush(vm, accessToken, AbortSignal.timeout(flushMs));
  } catch (error) {
    logs.note(id, `did not flush its disk before the pause: ${(error as Error).message}`);
  }
}

/** Somebody's wish, in contrast to the host's thrift: only a request wakes the box. */
function whyAsleep(why: SleepReason): boolean {
  return why === 'request' || why === 'timeout';
}

/** The machine could not be saved: it goes on. One that has ended meanwhile is lost. @throws pause_failed */
async function takeBack(parts: BoxParts, box: LiveBox, cause: Error): Promise<never> {
  const { rows, live, broker, logs, events, log } = parts;
  log.warn({ err: cause, box: box.id, run: box.runId }, 'a box could not be paused');
  logs.note(box.id, `could not be paused: ${cause.message}`);
  // First, so that a machine that runs on is never taken for the saved one.
  await forgetSaved(parts, box.id);
  try {
    await box.vm.resume();
  } catch {
    await box.vm.kill();
    rows.takeBack(box.id);
    await loseBox(parts, box, await box.vm.exited);
    throw new ApiError('pause_failed', `The box's machine ended while it was paused: ${cause.message}`, {
      hint: 'The next request boots it from its disk.',
      cause,
    });
  }
  const socket = rows.get(box.id)?.spec?.brokerSocket;
  if (socket !== undefined) await broker.open(box.id, socket);
  rows.takeBack(box.id);
  events.add(box.id, 'pause_failed', { reason: cause.message });
  live.add(box);
  // Its end may have come since it was taken out, and was nobody's to note then.
  void watchVm(parts, box);
  throw new ApiError('pause_failed', `The box could not be paused: ${cause.message}`, { cause });
}
