import type { AgentTaskRequest } from '@citb/api';
import type { NewTask } from '../services.ts';

/** What the box is told of a new task: the body of the agent server's `POST /tasks`. */
export function agentRequest(id: string, { prompt, files, context, options }: NewTask): AgentTaskRequest {
  return { id, prompt, files: { ...files }, options, ...(context === undefined ? {} : { context: [...context] }) };
}

/** Scope of a box's tasks among the idempotency keys. */
export function keyScope(boxId: string): string {
  return `tasks/${boxId}`;
}

/** What makes two requests the same: all but the model key, which may be renewed between them. */
export function identityOf({ prompt, files, context, options }: NewTask): unknown {
  return { prompt, files, context, options };
}
