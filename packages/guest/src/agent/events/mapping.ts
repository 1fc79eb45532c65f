import type { NewTaskEvent } from '@citb/api';
import type { SDKAssistantMessage, SDKMessage, SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';

/**
 * The events that a message of Claude Code stands for (2.1.330). Messages that end a turn (`result`, idle) and errors
 * are not here: see {@link import('./turn.ts').Turn}. Unknown types give nothing.
 */
export function eventsOf(message: SDKMessage): NewTaskEvent[] {
  switch (message.type) {
    case 'stream_event':
      return deltaOf(message);
    case 'assistant':
      return blocksOf(message);
    case 'user':
      return resultsOf(message);
    case 'tool_progress':
      return [
        status('tool_running', {
          tool: message.tool_name,
          tool_use_id: message.tool_use_id,
          elapsed_s: message.elapsed_time_seconds,
        }),
      ];
    case 'system':
      return systemOf(message);
    default:
      return [];
  }
}

/** A status event. */
export function status(name: string, fields: Record<string, unknown> = {}): NewTaskEvent {
  return { type: 'status', content: { status: name, ...fields } };
}

function parentOf(message: { readonly parent_tool_use_id: string | null }): { parent_tool_use_id?: string } {
  return message.parent_tool_use_id === null ? {} : { parent_tool_use_id: message.parent_tool_use_id };
}

function deltaOf(message: Extract<SDKMessage, { type: 'stream_event' }>): NewTaskEvent[] {
  const { event } = message;
  if (event.type !== 'content_block_delta') return [];
  const shared = { index: event.index, ...parentOf(message) };
  if (event.delta.type === 'text_delta') return [{ type: 'text_delta', content: event.delta.text, ...shared }];
  if (event.delta.type === 'thinking_delta') return [{ type: 'thinking_delta', content: event.delta.thinking, ...shared }];
  return [];
}

/** One message per content block. What Claude Code wrote itself about an API error is told by the error event. */
function blocksOf(message: SDKAssistantMessage): NewTaskEvent[] {
  if (message.error !== undefined) return [];
  const shared = { message_id: message.message.id, ...parentOf(message) };
  return message.message.content.flatMap((block): NewTaskEvent[] => {
    if (block.type === 'text' && block.text !== '')
      return [{ type: 'text', content: block.text, ...(message.aborted === true ? { aborted: true } : {}), ...shared }];
    if (block.type === 'thinking' && block.thinking !== '') return [{ type: 'thinking', content: block.thinking, ...parentOf(message) }];
    if (block.type === 'tool_use')
      return [{ type: 'tool_use', content: { id: block.id, name: block.name, input: recordOf(block.input) }, ...shared }];
    return [];
  });
}

/** Tool results; other user content is the prompt itself or a note of Claude Code to the model. */
function resultsOf(message: SDKUserMessage): NewTaskEvent[] {
  const { content } = message.message;
  if (message.isSynthetic === true || typeof content === 'string') return [];
  return content.flatMap((block): NewTaskEvent[] => {
    if (block.type !== 'tool_result') return [];
    const result = message.tool_use_result;
    return [
      {
        type: 'tool_result',
        content: {
          tool_use_id: block.tool_use_id,
          content: block.content ?? '',
          is_error: block.is_error === true,
          ...(typeof result === 'object' && result !== null ? { result } : {}),
        },
        ...parentOf(message),
      },
    ];
  });
}

function systemOf(message: Extract<SDKMessage, { type: 'system' }>): NewTaskEvent[] {
  switch (message.subtype) {
    case 'init':
      return [
        status('session', { session_id: message.session_id, model: message.model, claude_code_version: message.claude_code_version }),
      ];
    case 'status':
      return message.status === null ? [] : [status(message.status)];
    case 'api_retry':
      return [
        status('retrying', {
          attempt: message.attempt,
          max_attempts: message.max_retries,
          delay_ms: message.retry_delay_ms,
          api_status: message.error_status,
          reason: message.error,
          message: 'The model did not answer; the request is repeated. Deltas since the last text are void.',
        }),
      ];
    case 'compact_boundary':
      return [status('compacted', { trigger: message.compact_metadata.trigger, tokens_before: message.compact_metadata.pre_tokens })];
    case 'session_state_changed':
      return message.state === 'requires_action' ? [status('waiting', { message: 'The agent waits for an answer.' })] : [];
    case 'task_started':
      return [status('subagent', { event: 'started', ...taskOf(message), description: message.description, kind: message.task_type })];
    case 'task_progress':
      return [
        status('subagent', { event: 'progress', ...taskOf(message), description: message.description, tool: message.last_tool_name }),
      ];
    case 'task_notification':
      return [status('subagent', { event: message.status, ...taskOf(message), summary: message.summary })];
    case 'task_updated':
      return message.patch.status === undefined
        ? []
        : [status('subagent', { event: 'updated', ...taskOf(message), state: message.patch.status })];
    case 'permission_denied':
      return [status('denied', { tool: message.tool_name, tool_use_id: message.tool_use_id })];
    case 'model_refusal_fallback':
    case 'model_refusal_no_fallback':
    case 'informational':
      return [status('notice', { message: message.content })];
    default:
      return [];
  }
}

function taskOf(message: { readonly task_id: string; readonly tool_use_id?: string }): Record<string, unknown> {
  return { subagent_id: message.task_id, ...(message.tool_use_id === undefined ? {} : { tool_use_id: message.tool_use_id }) };
}

function recordOf(input: unknown): Record<string, unknown> {
  return typeof input === 'object' && input !== null && !Array.isArray(input) ? (input as Record<string, unknown>) : { value: input };
}
