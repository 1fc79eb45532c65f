import { agentPaths, agentTask, ApiError, type AgentTask } from '@citb/api';
import type { GuestServer } from '../guest/server.ts';
import type { TaskRow, TaskTable } from './table.ts';

/** A request of 32 MiB through an emulated guest's network and onto its disk. */
const handOverMs = 120_000;

/**
 * Brings the guest to the state of the row of an unfinished task: it gets a task that it has not acknowledged (the same id again
 * is the same task), and a cancellation that it may have missed.
 * @returns how the guest has the task
 * @throws ApiError `box_unreachable`: try again; any other: the box does not take the task, or no longer knows it
 */
export async function handOver(table: TaskTable, agent: GuestServer, row: TaskRow, signal: AbortSignal): Promise<AgentTask> {
  const request = table.spooled(row);
  const known =
    request === undefined
      ? await agent.json({ method: 'GET', path: `${agentPaths.tasks}/${row.id}`, signal }, agentTask)
      : await agent.json({ method: 'POST', path: agentPaths.tasks, body: { text: request }, signal, timeoutMs: handOverMs }, agentTask);
  if (known.id !== row.id) throw new ApiError('box_unreachable', 'The agent of the box answered for another task.');
  if (request !== undefined) table.acknowledged(row);
  if (table.find(row.id)?.cancel_asked === 1) await cancelInGuest(agent, row.id, signal);
  return known;
}

/** Asks the guest to end a task; one that has ended there is fine. @throws ApiError `box_unreachable` */
export async function cancelInGuest(agent: GuestServer, taskId: string, signal: AbortSignal): Promise<void> {
  try {
    await agent.done({ method: 'POST', path: `${agentPaths.tasks}/${taskId}/cancel`, signal });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'task_ended') throw error;
  }
}

/** Lets the guest drop the journal of a task whose events are all here. Failing is harmless: it is asked again when the box next starts. */
export async function forgetInGuest(table: TaskTable, agent: GuestServer, taskId: string, signal: AbortSignal): Promise<void> {
  try {
    await agent.done({ method: 'DELETE', path: `${agentPaths.tasks}/${taskId}`, signal });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'task_not_found') return;
  }
  table.forgotten(taskId);
}
