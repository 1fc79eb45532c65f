import { z } from 'zod';

/**
 * What a task streams. Every event has `type` and `content`; the names `text`, `tool_use` and `completion`
 * mean just what the classic API says, others are safe to ignore. `seq` counts from 1 within a task.
 */
const base = { seq: z.int().positive(), ts: z.iso.datetime().meta({ description: 'When it happened, by the clock of the host.' }) };
const parent = { parent_tool_use_id: z.string().optional().meta({ description: 'Set on what a subagent does.' }) };

export const textEvent = z.object({
  ...base,
  type: z.literal('text'),
  content: z.string(),
  message_id: z.string().optional(),
  aborted: z.boolean().optional(),
  ...parent,
});
export const textDeltaEvent = z.object({ ...base, type: z.literal('text_delta'), content: z.string(), index: z.int(), ...parent });
export const thinkingEvent = z.object({ ...base, type: z.literal('thinking'), content: z.string(), ...parent });
export const thinkingDeltaEvent = z.object({ ...base, type: z.literal('thinking_delta'), content: z.string(), index: z.int(), ...parent });
export const toolUseEvent = z.object({
  ...base,
  type: z.literal('tool_use'),
  content: z.object({ id: z.string(), name: z.string(), input: z.record(z.string(), z.unknown()) }),
  message_id: z.string().optional(),
  ...parent,
});
export const toolResultEvent = z.object({
  ...base,
  type: z.literal('tool_result'),
  content: z.object({
    tool_use_id: z.string(),
    content: z.unknown().meta({ description: "The result in Anthropic's form: text or blocks." }),
    is_error: z.boolean(),
    result: z.unknown().optional().meta({ description: 'Structured output where the tool has one (Bash: stdout, stderr).' }),
  }),
  ...parent,
});
export const statusEvent = z.object({
  ...base,
  type: z.literal('status'),
  content: z.looseObject({ status: z.string().meta({ description: 'queued, started, requesting, retrying, subagent, restarted, …' }) }),
});
export const questionEvent = z.object({
  ...base,
  type: z.literal('question'),
  content: z.object({
    question_id: z.string(),
    questions: z.array(
      z.looseObject({
        question: z.string(),
        header: z.string().optional(),
        options: z.array(z.looseObject({ label: z.string(), description: z.string().optional() })).optional(),
        multiSelect: z.boolean().optional(),
      }),
    ),
  }),
});
export const usageEvent = z.object({
  ...base,
  type: z.literal('usage'),
  content: z.looseObject({
    input_tokens: z.int(),
    output_tokens: z.int(),
    cache_read_input_tokens: z.int(),
    cache_creation_input_tokens: z.int(),
    cost_usd: z.number().meta({ description: "The agent's own estimate for this task." }),
    num_turns: z.int(),
    duration_ms: z.number(),
    models: z.record(z.string(), z.unknown()).optional(),
  }),
});
export const errorEvent = z.object({
  ...base,
  type: z.literal('error'),
  content: z.looseObject({ code: z.string(), message: z.string(), hint: z.string().optional(), api_status: z.int().optional() }),
});
export const taskOutcome = z.enum(['done', 'failed', 'interrupted']);
export type TaskOutcome = z.infer<typeof taskOutcome>;
export const completionEvent = z.object({
  ...base,
  type: z.literal('completion'),
  content: z.string().meta({ description: 'A sentence to print: the last answer, or what went wrong.' }),
  outcome: taskOutcome,
  stop_reason: z.string().nullable(),
  session_id: z.string().optional(),
  usage: usageEvent.shape.content.optional(),
});

export const taskEvent = z
  .discriminatedUnion('type', [
    textEvent,
    textDeltaEvent,
    thinkingEvent,
    thinkingDeltaEvent,
    toolUseEvent,
    toolResultEvent,
    statusEvent,
    questionEvent,
    usageEvent,
    errorEvent,
    completionEvent,
  ])
  .meta({ id: 'TaskEvent', description: 'One line of a task stream.' });
export type TaskEvent = z.infer<typeof taskEvent>;
export type TaskEventType = TaskEvent['type'];

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
/** An event before it is numbered. */
export type NewTaskEvent = DistributiveOmit<TaskEvent, 'seq' | 'ts'>;
