import { agentPaths, agentTask, ApiError, isTaskEnded } from '@citb/api';
import { z } from 'zod';
import type { LiveBox } from '../boxes/access.ts';
import type { GuestServer } from '../guest/server.ts';
import { cancelInGuest, forgetInGuest } from './handover.ts';
import { pause } from './patience.ts';
import type { PumpParts } from './pump.ts';
import type { TaskTable } from './table.ts';

const listed = z.object({ tasks: z.array(agentTask).max(10_000) });

/**
 * Brings what the guest knows of tasks in line with what is so. A guest that does not answer is asked again: a task of another box would
 * keep this box's own from their turn.
 * @throws box_unreachable when it goes on so; the next start of the box asks again
 */
export async function tidyGuest({ table, access, clients, patience }: PumpParts, box: LiveBox, signal: AbortSignal): Promise<void> {
  const agent = clients.agent(box);
  const began = performance.now();
  for (let failures = 1; ; failures += 1) {
    try {
      const ended = await endStrangers(table, agent, box.id, signal);
      if (ended > 0) access.note(box.id, `${ended} tasks that are not this box's, or are over, were ended in it`);
      break;
    } catch (error) {
      if (signal.aborted || access.ifRunning(box.id)?.runId !== box.runId) return;
      if (performance.now() - began > patience.giveUpMs) throw error;
      await pause(patience, failures, signal);
    }
  }
  for (const { id } of table.unforgottenOf(box.id)) {
    if (signal.aborted) return;
    await forgetInGuest(table, agent, id, signal);
  }
}

/**
 * Ends the tasks that a guest believes in and the host does not: a box that was rolled back finds tasks at work that have ended
 * since, a fork or an imported box those of the box it comes from.
 * @throws box_unreachable
 */
async function endStrangers(table: TaskTable, agent: GuestServer, boxId: string, signal: AbortSignal): Promise<number> {
  const { tasks } = await agent.json({ method: 'GET', path: agentPaths.tasks, signal }, listed);
  let ended = 0;
  for (const { id, state } of tasks) {
    const row = table.find(id);
    if (row?.box_id === boxId && row.ended === null) continue;
    if (!isTaskEnded(state)) {
      await cancelInGuest(agent, id, signal);
      ended += 1;
      continue;
    }
    // Of a task of this box that the host has in full, and whose journal is back.
    await agent.done({ method: 'DELETE', path: `${agentPaths.tasks}/${id}`, signal }).catch((error: unknown) => {
      if (!(error instanceof ApiError)) throw error;
    });
  }
  return ended;
}
