import { agentPaths, agentTask, ApiError, isTaskEnded } from '@citb/api';
import { z } from 'zod';
import type { GuestServer } from '../guest/server.ts';
import { cancelInGuest } from './handover.ts';
import type { TaskTable } from './table.ts';

const listed = z.object({ tasks: z.array(agentTask).max(10_000) });

/**
 * Ends the tasks that a guest believes in and the host does not: a box that was rolled back finds tasks at work that have ended
 * since, a fork or an imported box those of the box it comes from.
 * @throws box_unreachable
 */
export async function endStrangers(table: TaskTable, agent: GuestServer, boxId: string, signal: AbortSignal): Promise<number> {
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
