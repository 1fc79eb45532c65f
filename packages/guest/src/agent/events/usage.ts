import type { NewTaskEvent } from '@citb/api';
import type { ModelUsage, SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';

export type TaskUsage = Extract<NewTaskEvent, { type: 'usage' }>['content'];

/**
 * What a task used, over all of its results. The numbers are those of each model since the last result: `usage` leaves out
 * subagents, and `modelUsage` counts on over tasks, even over a resumed session.
 */
export function usageOf(results: readonly SDKResultMessage[]): TaskUsage {
  const models: Record<string, Counts> = {};
  for (const result of results)
    for (const [model, used] of Object.entries(sinceLast(result))) models[model] = plus(models[model] ?? nothing, used);
  const sum = Object.values(models).reduce((left, right) => ({ ...addCounts(left, right) }), nothing);
  return {
    ...sum,
    num_turns: results.reduce((turns, result) => turns + result.num_turns, 0),
    duration_ms: results.reduce((ms, result) => ms + result.duration_ms, 0),
    models,
  };
}

interface Counts {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly cost_usd: number;
}
const nothing: Counts = { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, cost_usd: 0 };

function plus(counts: Counts, used: ModelUsage): Counts {
  return addCounts(counts, {
    input_tokens: used.inputTokens,
    output_tokens: used.outputTokens,
    cache_read_input_tokens: used.cacheReadInputTokens,
    cache_creation_input_tokens: used.cacheCreationInputTokens,
    cost_usd: used.costUSD,
  });
}

function addCounts(left: Counts, right: Counts): Counts {
  return {
    input_tokens: left.input_tokens + right.input_tokens,
    output_tokens: left.output_tokens + right.output_tokens,
    cache_read_input_tokens: left.cache_read_input_tokens + right.cache_read_input_tokens,
    cache_creation_input_tokens: left.cache_creation_input_tokens + right.cache_creation_input_tokens,
    cost_usd: left.cost_usd + right.cost_usd,
  };
}

/** The field is sent by 2.1.330 but not in its types. */
function sinceLast(result: SDKResultMessage): Record<string, ModelUsage> {
  return (result as { model_usage_since_last_result?: Record<string, ModelUsage> }).model_usage_since_last_result ?? {};
}
