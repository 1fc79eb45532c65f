import { agentPaths, ApiError } from '@citb/api';
import type { BoxAccess, LiveBox } from '../boxes/access.ts';
import type { GuestClients } from '../guest/clients.ts';
import { lineBatches } from '../guest/lines.ts';
import { finish } from './finish.ts';
import { maxEventLine, parseGuestEvent } from './guest-event.ts';
import { forgetInGuest, handOver } from './handover.ts';
import { type Patience, pause } from './patience.ts';
import type { RecordEvents } from './record.ts';
import type { TaskTable } from './table.ts';
import type { Turns } from './turns.ts';

export interface PumpParts {
  readonly table: TaskTable;
  readonly record: RecordEvents;
  readonly access: BoxAccess;
  readonly clients: GuestClients;
  readonly patience: Patience;
  readonly turns: Turns;
}

/**
 * Brings one task to its end: waits for its turn, hands it over, follows its events, and does so again after every cut (of the stream, the agent
 * server, the VM, this daemon). Resolves when the task has ended, or the signal aborts. Never rejects for what a guest or a box
 * does: where nothing helps, the task ends as failed, with an error event that says why.
 * @returns `no-box` when there is no such box any more
 */
export async function pump(parts: PumpParts, boxId: string, taskId: string, signal: AbortSignal): Promise<'over' | 'no-box'> {
  const { table, record, access, patience } = parts;
  await parts.turns.wait(boxId, taskId, signal);
  let lastGood = performance.now();
  for (let failures = 0; !signal.aborted;) {
    const asked = performance.now();
    await access.wanted(boxId, signal);
    // While the box sleeps by its owner's wish its silence means nothing.
    lastGood += performance.now() - asked;
    const box = await wake(parts, boxId, taskId, signal);
    if (box === 'no-box' || box === 'over') return box;
    const before = performance.now();
    // The next daemon goes on with the task.
    if (!(await parts.turns.prepare(box, taskId))) break;
    lastGood += performance.now() - before;
    let failure: unknown;
    const began = performance.now();
    const seen = table.find(taskId)?.last_seq;
    try {
      await follow(parts, box, taskId, signal);
    } catch (error) {
      failure = error;
    }
    const row = signal.aborted ? undefined : table.find(taskId);
    if (row === undefined) break;
    if (row.ended !== null) {
      await forgetInGuest(table, parts.clients.agent(box), taskId, signal);
      break;
    }
    if (failure instanceof ApiError && failure.code !== 'box_unreachable') {
      finish(record, row, lost(failure));
      break;
    }
    const steady = row.last_seq !== seen || performance.now() - began > patience.stallMs;
    failures = steady ? 0 : failures + 1;
    if (steady) lastGood = performance.now();
    if (performance.now() - lastGood > patience.giveUpMs) {
      finish(record, row, new ApiError('box_unreachable', 'The agent of the box does not answer any more.', { cause: failure }));
      break;
    }
    await pause(patience, failures, signal);
  }
  return 'over';
}

/** The box, awake; or why there is nothing more to do for the task. */
async function wake(parts: PumpParts, boxId: string, taskId: string, signal: AbortSignal): Promise<LiveBox | 'over' | 'no-box'> {
  const { access, patience, record, table } = parts;
  const noRoomAfter = performance.now() + patience.roomMs;
  let tries = 0;
  let starts = 0;
  while (!signal.aborted) {
    try {
      return await access.awake(boxId);
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError('box_failed', undefined, { cause: error });
      if (failure.code === 'box_not_found' || failure.code === 'box_killed') return 'no-box';
      const row = table.find(taskId);
      // Stopping: the next daemon goes on with the task.
      if (signal.aborted || failure.code === 'host_stopping' || row === undefined || row.ended !== null) break;
      // Others sleep or end before long: what was accepted, and is still wanted, is not given up for that.
      const full = row.cancel_asked === 0 && (failure.code === 'host_full' || failure.code === 'host_disk_full');
      if (!full) starts += 1;
      if (full ? performance.now() > noRoomAfter : starts >= patience.starts) {
        finish(record, row, failure);
        break;
      }
      if (full && tries === 0) access.note(boxId, `task ${taskId} waits: ${failure.message}`);
    }
    await pause(patience, (tries += 1), signal);
  }
  return 'over';
}

/** Follows the guest's journal until the task has ended or the stream does. */
async function follow(
  { table, record, clients, access, patience }: PumpParts,
  box: LiveBox,
  taskId: string,
  signal: AbortSignal,
): Promise<void> {
  const agent = clients.agent(box);
  const before = table.find(taskId);
  if (before === undefined || before.ended !== null) return;
  const { last_seq } = await handOver(table, agent, before, signal);
  // A machine that crashed may have lost the end of the journal and written on under the same numbers: then it is compared from its beginning.
  const aligned = before.run_id === box.runId && last_seq >= before.guest_seq;
  const { body } = await agent.open({
    method: 'GET',
    path: `${agentPaths.tasks}/${taskId}/events`,
    query: { after: aligned ? before.guest_seq : 0 },
    signal,
    stallMs: patience.stallMs,
  });
  let bad = 0;
  // Leaving the loop closes the connection.
  for await (const { lines, overlong } of lineBatches(body, maxEventLine)) {
    const events = lines.map(parseGuestEvent).filter((event) => event !== undefined);
    const left = overlong + lines.length - events.length;
    if (left > 0 && bad === 0) access.note(box.id, `task ${taskId}: left out events of the agent that are not well-formed`);
    bad += left;
    if (events.length === 0) continue;
    const { state, added } = record(taskId, events);
    if (state !== 'open') return;
    if (!aligned && added > 0) table.alignedWith(taskId, box.runId);
  }
}

/** The sentence for a box that answers, but not for this task. */
function lost(error: ApiError): ApiError {
  if (error.code !== 'task_not_found') return error;
  return new ApiError('box_failed', 'The box lost this task: its disk no longer has it.', { hint: 'Start the task again.' });
}
