import { z } from 'zod';
import { boxId } from './ids.ts';
import { labels } from './labels.ts';

/** Longest time that can be set, in s: a year. */
const longestS = 365 * 24 * 3600;

export const timeoutActions = ['kill', 'stop', 'pause'] as const;
export const timeoutAction = z.enum(timeoutActions);
export type TimeoutAction = z.infer<typeof timeoutAction>;

const idleS = z
  .int()
  .min(0)
  .max(longestS)
  .meta({
    description:
      'The box is paused after this many seconds without activity of its own: no task, command, terminal, upload, download or watch, and no ' +
      'process at work. The next request wakes it. 0: never. Default: CITB_IDLE_S of the host (600).',
  });
const keepAliveUntil = z.iso.datetime({ offset: true }).meta({ description: 'Not paused for being idle before this moment.' });
const timeoutS = z.int().min(1).max(longestS);

/** How long a box lives and what it does when nobody uses it; part of its creation. */
export const lifetimeSettings = {
  idle_s: idleS.optional(),
  keep_alive_until: keepAliveUntil.optional(),
  timeout_s: timeoutS.optional().meta({ description: 'The longest life of the box, in seconds from its creation. Default: no end.' }),
  on_timeout: timeoutAction.default('kill').meta({
    description:
      'What happens at the end of timeout_s. A box that was paused or stopped by it may be used again: the time begins anew when it wakes.',
  }),
};

/** What can be changed of a box that exists. What is left out stays as it is. */
export const boxUpdate = z
  .strictObject({
    labels: labels.optional().meta({ description: 'In place of all labels it has.' }),
    idle_s: idleS.optional(),
    keep_alive_until: keepAliveUntil.nullable().optional(),
    timeout_s: timeoutS.nullable().optional().meta({ description: 'Counts from now; null: no end.' }),
    on_timeout: timeoutAction.optional(),
  })
  .meta({ id: 'BoxUpdate' });
export type BoxUpdate = z.infer<typeof boxUpdate>;

/** Types of a box's events that this version knows, and what each says. Clients leave alone what they do not know. */
export const boxEventTypes = {
  created: 'The box was made.',
  running:
    '`how`: boot (from its disk), restore (memory and processes as they were), template (a clone of a machine that was ready) or fork ' +
    '(memory and processes of the box it began as).',
  paused:
    'Memory and processes are on the disk; the next request wakes it. `why`: request, idle, memory (another box needed it), timeout or drain.',
  stopped: 'Only its disk is kept; the next request boots it. `why`: request or timeout.',
  lost: 'Its machine ended by itself: `reason`. The next request boots it from its disk.',
  failed: 'It could not be started: `reason`. The next request tries again.',
  wake_failed: 'What was in memory could not be brought back: `reason`. The box boots from its disk instead.',
  pause_failed: 'It could not be paused and goes on running: `reason`.',
  idle_warning: 'It will be paused at `at` unless something happens in it.',
  expiry_warning: 'Its time ends at `at`; then `action`.',
  updated: 'Settings or labels were changed: `changed`.',
  checkpoint: 'A state of it was kept: `id`, `kind`, `name`, `task_id`; its processors stood for `stood_ms`.',
  rolled_back: 'It is again as it was at `checkpoint`; tasks that ran have ended.',
  forked: 'Another box began as this one: `box_id`.',
  killed: 'Nothing of it is left; the stream ends.',
} as const;

export const boxEvent = z
  .object({
    seq: z.int().positive().meta({ description: 'Counts from 1 for each box.' }),
    ts: z.iso.datetime(),
    type: z.string().meta({
      description: `More may come. ${Object.entries(boxEventTypes)
        .map(([type, says]) => `\`${type}\`: ${says}`)
        .join(' ')}`,
    }),
    content: z.looseObject({}),
  })
  .meta({ id: 'BoxEvent', description: 'Something that happened to a box.' });
export type BoxEvent = z.infer<typeof boxEvent>;

/** All boxes to disk, for a machine that goes down. */
export const drainRequest = z
  .object({
    deadline_s: z
      .number()
      .min(1)
      .max(3600)
      .default(25)
      .meta({ description: 'Boxes that are not saved by then are left: they boot from their disk later.' }),
  })
  .meta({ id: 'Drain' });
export const drainReport = z
  .object({
    paused: z.array(boxId).meta({ description: 'Saved, with memory and processes.' }),
    left: z.array(boxId).meta({ description: 'Not saved in time; what they had acknowledged is on their disks.' }),
  })
  .meta({ id: 'DrainReport' });
export type DrainReport = z.infer<typeof drainReport>;
