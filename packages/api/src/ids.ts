import { z } from 'zod';

/** Runtimes that come with the product: one folder each in `images/`. */
export const runtimes = ['claude-agent', 'python', 'node', 'bash'] as const;
export type Runtime = (typeof runtimes)[number];

/** A caller's name for its user. Any printable text: it is stored, never used as a file name. */
export const userId = z
  .string()
  .min(1)
  .max(256)
  .refine((value) => value.isWellFormed() && !/\p{Cc}/u.test(value), 'must be printable text')
  .meta({ description: "The app's own id of its user.", example: 'test-claude-1' });

/** Id of a box: chosen by the caller or made by the host (`box_…`). */
export const boxId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'must be 1 to 64 letters, digits, "_" or "-", not starting with "_" or "-"')
  .meta({ description: 'Id of a box.', example: 'box_k3v9x2m1' });

/** Id of a task, made by the host (`task_…`). */
export const taskId = z
  .string()
  .regex(/^task_[a-z0-9]{20}$/, 'must be an id that a task was given')
  .meta({ description: 'Id of a task.', example: 'task_0k3v9x2m1qf7c8d4e5ab' });

/** Name of a conversation in a box; `main` unless given. */
export const conversationName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'must be 1 to 64 letters, digits, ".", "_" or "-"')
  .meta({ description: "Name of a conversation; a box's own is `main`.", example: 'main' });

/** States of a box, as DESIGN.md has them. `killed` is never seen: the box is gone. */
export const boxStates = ['creating', 'running', 'paused', 'stopped', 'failed'] as const;
export const boxState = z.enum(boxStates);
export type BoxState = z.infer<typeof boxState>;

/** States of a task. */
export const taskStates = ['queued', 'running', 'done', 'failed', 'interrupted'] as const;
export const taskState = z.enum(taskStates);
export type TaskState = z.infer<typeof taskState>;

/** True when a task will not change any more. */
export function isTaskEnded(state: TaskState): boolean {
  return state === 'done' || state === 'failed' || state === 'interrupted';
}
