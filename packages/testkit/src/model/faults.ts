import { type Arguments, type Reply, type Scenario, numberOf, say } from './script.ts';
import type { Turn } from './history.ts';

/** Anthropic's error type and a message of each status that the API documents. */
const apiErrors: Readonly<Record<number, readonly [type: string, message: string]>> = {
  400: ['invalid_request_error', 'messages: the request is not valid'],
  401: ['authentication_error', 'invalid x-api-key'],
  402: ['billing_error', 'Your credit balance is too low to access the Anthropic API.'],
  403: ['permission_error', 'Your API key does not have permission to use the specified resource.'],
  404: ['not_found_error', 'model: not-a-model'],
  413: ['request_too_large', 'Request exceeds the maximum size'],
  429: ['rate_limit_error', 'This request would exceed your rate limit.'],
  500: ['api_error', 'Internal server error'],
  529: ['overloaded_error', 'Overloaded'],
};

function apiError(status: number, args: Arguments): Reply {
  const [type, message] = apiErrors[status] ?? ['api_error', 'Something failed'];
  const headers: Record<string, string> = {};
  // Without it the binary repeats 401 eleven times over 173 s.
  if (args['retry'] === undefined) headers['x-should-retry'] = 'false';
  if (args['after'] !== undefined) headers['retry-after'] = args['after'];
  return { kind: 'error', status, type, message: args['message'] ?? message, headers };
}

/** Does `fault` until it has had its effect, then answers. */
function untilNoticed(turn: Turn, fault: Reply): Reply {
  return turn.step === 0 ? fault : say('Recovered.');
}

/** Does `fault` the first `times` times that a request comes (always, unless told), then answers. */
function repeated(turn: Turn, args: Arguments, fault: Reply): Reply {
  return turn.step === 0 && turn.attempt < numberOf(args, 'times', Infinity) ? fault : say('Recovered.');
}

const partial = 'This answer is long enough to be cut in the middle of it.';

/**
 * Everything that can go wrong on the way to the model.
 * The first four take [times]: how often the fault happens to one request before it is answered.
 * - `error` status [message] [after seconds] [retry]: an HTTP error, marked as not worth a retry unless `retry` is given
 * - `cut`: the socket closes without an answer; `cut_during` [after]: after so many events
 * - `sse_error` [after]: an `error` event within the stream
 * - `refusal`, `max_tokens`, `empty`: answers that are no answers
 * - `bad_json`, `unknown_tool`: tool calls that cannot be made; the agent tells the model, which then ends
 */
export const faults: Readonly<Record<string, Scenario>> = {
  error: (turn, args) => repeated(turn, args, apiError(numberOf(args, 'status', 500), args)),
  cut: (turn, args) => repeated(turn, args, { kind: 'cut' }),
  cut_during: (turn, args) => repeated(turn, args, say(partial, { cutAfterEvents: numberOf(args, 'after', 4) })),
  sse_error: (turn, args) => repeated(turn, args, say(partial, { errorAfterEvents: numberOf(args, 'after', 4) })),
  refusal: () => ({ kind: 'message', blocks: [{ type: 'text', text: 'I cannot' }], stopReason: 'refusal' }),
  max_tokens: () => ({ kind: 'message', blocks: [{ type: 'text', text: 'And so on and' }], stopReason: 'max_tokens' }),
  empty: () => ({ kind: 'message', blocks: [] }),
  bad_json: (turn) =>
    untilNoticed(turn, {
      kind: 'message',
      blocks: [{ type: 'tool_use', name: 'Bash', input: {}, rawInput: '{"command": "echo' }],
      stopReason: 'tool_use',
    }),
  unknown_tool: (turn) =>
    untilNoticed(turn, {
      kind: 'message',
      blocks: [{ type: 'tool_use', name: 'Teleport', input: { to: 'moon' } }],
      stopReason: 'tool_use',
    }),
};
