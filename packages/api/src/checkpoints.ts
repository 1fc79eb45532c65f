import { z } from 'zod';
import { envVars } from './classic.ts';
import { boxId, taskId, userId } from './ids.ts';
import { labels } from './labels.ts';

/** Id of a checkpoint, made by the host (`ckp_…`). */
export const checkpointId = z
  .string()
  .regex(/^ckp_[a-z0-9]{12}$/, 'must be an id that a checkpoint was given')
  .meta({ description: 'Id of a checkpoint.', example: 'ckp_k3v9x2m1qf7c' });

/** A name for people. */
const checkpointName = z
  .string()
  .min(1)
  .max(200)
  .refine((value) => value.isWellFormed() && !/\p{Cc}/u.test(value), 'must be printable text');

export const checkpointCreate = z
  .object({
    name: checkpointName.optional().meta({ description: 'What this state is, for people.' }),
    memory: z
      .boolean()
      .default(true)
      .meta({ description: 'With the memory of the machine, so that its processes go on from there. A stopped box has none.' }),
  })
  .meta({ id: 'CheckpointCreate' });
export type CheckpointCreate = z.input<typeof checkpointCreate>;

export const checkpoint = z
  .object({
    id: checkpointId,
    box_id: boxId,
    name: z.string().nullable(),
    kind: z.enum(['manual', 'auto', 'agent']).meta({
      description: 'Made by a caller; by the host before a task; by the agent. The last two are bounded in number, the oldest go first.',
    }),
    memory: z.boolean().meta({ description: 'It holds the memory of the machine.' }),
    size_bytes: z.int().nonnegative().meta({ description: 'Taken on the host when it was made; of what it shares with others, its part.' }),
    task_id: taskId.nullable().meta({ description: 'The task before which it was made.' }),
    created: z.iso.datetime(),
  })
  .meta({ id: 'Checkpoint' });
export type Checkpoint = z.infer<typeof checkpoint>;

export const checkpointList = z.object({ checkpoints: z.array(checkpoint) }).meta({ id: 'CheckpointList' });

export const boxFork = z
  .object({
    id: boxId.optional(),
    user_id: userId.optional().meta({ description: 'Whose box the fork is. Default: nobody’s.' }),
    labels: labels.optional().meta({ description: 'Default: those of the source.' }),
    env_vars: envVars.optional().meta({
      description:
        'Environment of the fork. Default: that of the source, with its Anthropic key. Processes that run already keep what they were started with.',
    }),
    checkpoint: checkpointId
      .optional()
      .meta({ description: 'A checkpoint of the source to begin from. Default: the source as it is now.' }),
  })
  .meta({ id: 'BoxFork' });
export type BoxFork = z.input<typeof boxFork>;
