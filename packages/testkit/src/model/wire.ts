import { randomBytes } from 'node:crypto';

/**
 * Anthropic's Messages API as far as a model's answer needs it: the blocks of a message, its final JSON and its stream.
 * Form as Claude Code 2.1.330 accepts it: every SSE event has an `event:` and a `data:` line.
 */
export type Block =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'thinking'; readonly thinking: string }
  | { readonly type: 'tool_use'; readonly name: string; readonly input: Readonly<Record<string, unknown>>; readonly rawInput?: string };

export type StopReason = 'end_turn' | 'tool_use' | 'max_tokens' | 'refusal' | 'stop_sequence';

export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation_input_tokens: number;
}

export interface Answer {
  readonly model: string;
  readonly blocks: readonly Block[];
  readonly stopReason: StopReason;
  readonly usage: Usage;
}

export interface WireEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** `msg_…` and `toolu_…` ids must be unique: Claude Code merges messages with equal ids. */
function newId(prefix: string): string {
  return `${prefix}_${randomBytes(12).toString('hex')}`;
}

function contentOf(block: Block): Record<string, unknown> {
  if (block.type === 'text') return { type: 'text', text: block.text };
  if (block.type === 'thinking') return { type: 'thinking', thinking: block.thinking, signature: 'scripted' };
  return { type: 'tool_use', id: newId('toolu'), name: block.name, input: block.input };
}

/** The answer of a request without `stream`. */
export function wholeMessage(answer: Answer): Record<string, unknown> {
  return {
    id: newId('msg'),
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content: answer.blocks.map(contentOf),
    stop_reason: answer.stopReason,
    stop_sequence: null,
    usage: answer.usage,
  };
}

/**
 * The same answer as a stream.
 * @param pieces into how many deltas each block is cut (at least 1)
 */
export function* messageEvents(answer: Answer, pieces: number): Generator<WireEvent> {
  yield {
    type: 'message_start',
    message: { ...wholeMessage({ ...answer, blocks: [] }), stop_reason: null, usage: { ...answer.usage, output_tokens: 1 } },
  };
  for (const [index, block] of answer.blocks.entries()) yield* blockEvents(block, index, pieces);
  yield {
    type: 'message_delta',
    delta: { stop_reason: answer.stopReason, stop_sequence: null },
    usage: { output_tokens: answer.usage.output_tokens },
  };
  yield { type: 'message_stop' };
}

function* blockEvents(block: Block, index: number, pieces: number): Generator<WireEvent> {
  const delta = (fields: Record<string, unknown>): WireEvent => ({ type: 'content_block_delta', index, delta: fields });
  switch (block.type) {
    case 'text':
      yield { type: 'content_block_start', index, content_block: { type: 'text', text: '' } };
      for (const text of cut(block.text, pieces)) yield delta({ type: 'text_delta', text });
      break;
    case 'thinking':
      yield { type: 'content_block_start', index, content_block: { type: 'thinking', thinking: '', signature: '' } };
      for (const thinking of cut(block.thinking, pieces)) yield delta({ type: 'thinking_delta', thinking });
      yield delta({ type: 'signature_delta', signature: 'scripted' });
      break;
    case 'tool_use':
      yield { type: 'content_block_start', index, content_block: { type: 'tool_use', id: newId('toolu'), name: block.name, input: {} } };
      for (const json of cut(block.rawInput ?? JSON.stringify(block.input), pieces))
        yield delta({ type: 'input_json_delta', partial_json: json });
      break;
  }
  yield { type: 'content_block_stop', index };
}

/** Cuts by code points, so that no piece holds half a character. */
function cut(text: string, pieces: number): string[] {
  const points = Array.from(text);
  const size = Math.max(1, Math.ceil(points.length / Math.max(1, pieces)));
  const parts: string[] = [];
  for (let start = 0; start < points.length; start += size) parts.push(points.slice(start, start + size).join(''));
  return parts;
}

/** One event as it goes over the wire. */
export function sse(event: WireEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Anthropic's error body. */
export function errorBody(type: string, message: string): Record<string, unknown> {
  return { type: 'error', error: { type, message }, request_id: newId('req') };
}
