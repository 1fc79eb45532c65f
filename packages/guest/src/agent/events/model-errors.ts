import type { NewTaskEvent } from '@citb/api';
import type { SDKAssistantMessageError, SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';

/** What went wrong in a task, in the words of an error event. */
export interface Trouble {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly api_status?: number;
  /** What the model's API said. */
  readonly detail?: string;
}

export function errorEvent(trouble: Trouble): NewTaskEvent {
  return { type: 'error', content: { ...trouble } };
}

/** Answers of the model's API. Claude Code's own texts name addresses of this box, so they are not shown for these. */
const byStatus: Readonly<Record<number, Trouble>> = {
  400: { code: 'model_bad_request', message: 'The model refused the request as invalid.', hint: 'Start a new conversation, or send less.' },
  401: { code: 'model_auth', message: 'Anthropic did not accept the API key.', hint: 'Check ANTHROPIC_API_KEY of the box or the host.' },
  402: {
    code: 'model_billing',
    message: 'The credit for the model is used up.',
    hint: 'Add credit to the Anthropic account, or raise the budget.',
  },
  403: { code: 'model_forbidden', message: 'The API key may not use this model.', hint: 'Check the key, its workspace and the model.' },
  404: {
    code: 'model_not_found',
    message: 'There is no such model for this API key.',
    hint: 'Name another model in the options of the task.',
  },
  413: {
    code: 'model_too_large',
    message: 'The conversation is too large for the model.',
    hint: 'Start a new conversation, or send less.',
  },
  429: { code: 'model_rate_limit', message: 'The rate limit of the API key is reached.', hint: 'Try again later.' },
  529: { code: 'model_overloaded', message: 'The model is overloaded.', hint: 'Try again in a moment.' },
};

/** What Claude Code calls an error that came without a status. */
const byKind: Partial<Record<SDKAssistantMessageError, Trouble>> = {
  max_output_tokens: {
    code: 'max_output_tokens',
    message: 'The answer was longer than the model may write at once.',
    hint: 'Ask for less at a time, or for files.',
  },
  server_error: { code: 'model_unreachable', message: 'The connection to the model broke off.', hint: 'Try again in a moment.' },
};

/**
 * The trouble that a failed result tells of; undefined for one that did not fail.
 * @param kind `error` of the last assistant message, if it had one
 */
export function troubleOf(result: SDKResultMessage, kind: SDKAssistantMessageError | undefined): Trouble | undefined {
  if (result.subtype === 'success') {
    if (!result.is_error) return undefined;
    const api = result.api_error_status ?? undefined;
    if (api !== undefined) return { ...(byStatus[api] ?? unknownStatus(api)), api_status: api, ...detailOf(result.result) };
    if (result.stop_reason === 'refusal')
      return {
        code: 'model_refused',
        message: 'The model declined to answer this.',
        hint: 'Ask for something else, in a new conversation.',
      };
    return (kind === undefined ? undefined : byKind[kind]) ?? { code: codeOf(result.terminal_reason), message: plain(result.result) };
  }
  switch (result.subtype) {
    case 'error_max_turns':
      return { code: 'max_turns', message: 'The task used all of its turns.', hint: 'Send a new task to go on, or allow more turns.' };
    case 'error_max_budget_usd':
      return { code: 'max_budget', message: 'The task used all of its budget.', hint: 'Send a new task to go on, or allow more.' };
    default:
      return { code: codeOf(result.terminal_reason), message: plain(result.errors.join('\n')) };
  }
}

function unknownStatus(status: number): Trouble {
  return status >= 500
    ? { code: 'model_unavailable', message: `The model's API failed (${status}).`, hint: 'Try again in a moment.' }
    : { code: 'model_error', message: `The model's API answered ${status}.` };
}

function codeOf(reason: string | undefined): string {
  return reason === undefined || reason === 'completed' ? 'agent_failed' : reason;
}

/** The API's own words, unless Claude Code mixed advice about this machine into them. */
function detailOf(text: string): { detail?: string } {
  return /gateway|ANTHROPIC_|external API key/i.test(text) ? {} : { detail: plain(text) };
}

/** Claude Code's text without its diagnostics. */
function plain(text: string): string {
  const lines = text.split('\n').filter((line) => !line.includes('[ede_diagnostic]') && line.trim() !== '');
  const joined = lines
    .join('\n')
    .replace(/^API Error: /, '')
    .slice(0, 2000);
  return joined === '' ? 'The agent ended the task without an answer.' : joined;
}
