import { z } from 'zod';
import { checkpointId } from '../checkpoints.ts';
import { boxId, taskId } from '../ids.ts';
import { exportId, importId } from '../transfer.ts';

/** Parts of paths. */
export const boxParams = z.object({ box: boxId });
export const taskParams = z.object({ box: boxId, task: taskId });
export const checkpointParams = z.object({ box: boxId, checkpoint: checkpointId });
export const exportParams = z.object({ export: exportId });
export const importParams = z.object({ import: importId });
export const questionParams = z.object({
  box: boxId,
  task: taskId,
  question: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,200}$/)
    .meta({ description: '`question_id` of the question event.' }),
});
export const processParams = z.object({
  box: boxId,
  pid: z.coerce
    .number()
    .int()
    .positive()
    .max(2 ** 31 - 1)
    .meta({ description: 'Process id in the box.' }),
});

/** Sent again with the same key, a creation answers with what the first one made. */
export const idempotencyHeaders = {
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 printable characters without spaces')
    .optional()
    .meta({ description: 'The same key and request again is the same creation, not another one.' }),
};

/** An Anthropic key that comes with a task. */
export const modelKeyHeaders = {
  'x-anthropic-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,1024}$/, 'must be printable characters without spaces')
    .optional()
    .meta({ description: 'Anthropic key for this box from now on. Stays on the host; never enters the box.' }),
};

/** Where a stream goes on: browsers' EventSource sends it by itself. */
export const lastEventHeaders = {
  'last-event-id': z
    .string()
    .regex(/^\d{1,15}$/, 'must be a seq')
    .optional()
    .meta({ description: 'As ?after, which has precedence.' }),
};
