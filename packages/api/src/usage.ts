import { z } from 'zod';

/** What a box takes on the host's disk: allocated blocks; of files that boxes or checkpoints share, its part. */
export const boxSpace = z
  .object({
    disk_bytes: z.int().meta({ description: 'The private disk.' }),
    saved_bytes: z.int().meta({ description: 'The memory of a box that is paused.' }),
    checkpoint_bytes: z.int(),
    checkpoints: z.int().meta({ description: 'Their number.' }),
    total_bytes: z.int().meta({ description: 'All of the box’s folder.' }),
  })
  .meta({ id: 'BoxSpace' });
export type BoxSpace = z.infer<typeof boxSpace>;

export const boxUsage = z.object({ box_id: z.string(), user_id: z.string().nullable(), ...boxSpace.shape }).meta({ id: 'BoxUsage' });
export type BoxUsage = z.infer<typeof boxUsage>;

export const usageQuery = z.object({ user_id: z.string().optional().meta({ description: 'Only the box of this user.' }) });
export const usageReport = z
  .object({ boxes: z.array(boxUsage), total_bytes: z.int(), disk_free_bytes: z.int().meta({ description: 'Left on the host.' }) })
  .meta({ id: 'Usage' });
export type UsageReport = z.infer<typeof usageReport>;
