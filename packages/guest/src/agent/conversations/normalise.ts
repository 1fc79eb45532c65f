import type { ContextMessage } from '@citb/api';
import { z } from 'zod';

/**
 * The blocks that a history may hold. Everything else is left out: what is not known to the API is passed through by Claude
 * Code and refused upstream, foreign thinking signatures too (AGENT.md section 6).
 */
const text = z.object({ type: z.literal('text'), text: z.string().regex(/\S/) });
const image = z.object({
  type: z.literal('image'),
  source: z.union([
    z.object({ type: z.literal('base64'), media_type: z.string(), data: z.string() }),
    z.object({ type: z.literal('url'), url: z.string() }),
  ]),
});
const toolUse = z.object({
  type: z.literal('tool_use'),
  id: z.string().min(1),
  name: z.string().min(1),
  input: z.record(z.string(), z.unknown()).catch({}),
});
const toolResult = z.object({
  type: z.literal('tool_result'),
  tool_use_id: z.string().min(1),
  content: z.union([z.string(), z.array(z.unknown())]).default(''),
  is_error: z.boolean().optional(),
});
const known = z.discriminatedUnion('type', [text, image, toolUse, toolResult]);
type Block = z.infer<typeof known>;
type ToolUse = z.infer<typeof toolUse>;
type ToolResult = z.infer<typeof toolResult>;

/** A message of a normalised history. */
export interface HistoryMessage {
  readonly role: 'user' | 'assistant';
  readonly content: readonly Block[];
}

/**
 * A history that Claude Code takes as it is: user first, roles in turn, every tool call followed by its result, nothing empty.
 * System messages become text of the user; orphan results become text; missing results are named as missing.
 */
export function normalise(messages: readonly ContextMessage[]): HistoryMessage[] {
  const merged = merge(messages.flatMap(parse));
  return pairTools(merged).filter((message) => message.content.length > 0);
}

function parse(message: ContextMessage): HistoryMessage[] {
  const blocks: unknown[] = typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content;
  const role = message.role === 'assistant' ? 'assistant' : 'user';
  const content = blocks.flatMap((block): Block[] => {
    const parsed = known.safeParse(block);
    if (!parsed.success || !mayStand(role, parsed.data)) return [];
    return [parsed.data.type === 'tool_use' || parsed.data.type === 'tool_result' ? clean(parsed.data) : parsed.data];
  });
  return content.length === 0 ? [] : [{ role, content }];
}

/** Calls are the assistant's, results and images the user's. */
function mayStand(role: HistoryMessage['role'], block: Block): boolean {
  return block.type === 'text' || (role === 'assistant') === (block.type === 'tool_use');
}

/** The API wants ids and names of `[A-Za-z0-9_-]`; other providers' ids are brought to it. */
function clean(block: ToolUse | ToolResult): Block {
  if (block.type === 'tool_use') return { ...block, id: word(block.id), name: word(block.name) };
  const content = typeof block.content === 'string' ? block.content : block.content.flatMap(resultPart);
  return { ...block, tool_use_id: word(block.tool_use_id), content };
}

function resultPart(part: unknown): unknown[] {
  const parsed = z.union([text, image]).safeParse(part);
  return parsed.success ? [parsed.data] : [];
}

function word(value: string): string {
  return value.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 64);
}

/** Neighbours of one role become one message; the first message is the user's. */
function merge(messages: readonly HistoryMessage[]): HistoryMessage[] {
  const merged: HistoryMessage[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last?.role === message.role) merged[merged.length - 1] = { role: last.role, content: [...last.content, ...message.content] };
    else merged.push(message);
  }
  return merged[0]?.role === 'assistant'
    ? [{ role: 'user', content: [{ type: 'text', text: '(The conversation begins here.)' }] }, ...merged]
    : merged;
}

/** Each call gets a result in the message after it, each result a call in the message before it. */
function pairTools(messages: readonly HistoryMessage[]): HistoryMessage[] {
  const paired: HistoryMessage[] = [];
  let open: ToolUse[] = [];
  for (const message of messages) {
    if (message.role === 'assistant') {
      paired.push({ role: 'assistant', content: uniqueCalls(message.content) });
      open = paired.at(-1)?.content.filter((block) => block.type === 'tool_use') ?? [];
    } else {
      paired.push({ role: 'user', content: withResults(message.content, open) });
      open = [];
    }
  }
  if (open.length > 0) paired.push({ role: 'user', content: withResults([], open) });
  return paired;
}

function uniqueCalls(content: readonly Block[]): Block[] {
  const seen = new Set<string>();
  return content.filter((block) => block.type !== 'tool_use' || (!seen.has(block.id) && seen.add(block.id)));
}

/** Results first: the API wants them at the beginning. */
function withResults(content: readonly Block[], calls: readonly ToolUse[]): Block[] {
  const wanted = new Set(calls.map((call) => call.id));
  const given = new Map<string, ToolResult>();
  const others: Block[] = [];
  for (const block of content) {
    if (block.type !== 'tool_result') others.push(block);
    else if (wanted.has(block.tool_use_id) && !given.has(block.tool_use_id)) given.set(block.tool_use_id, block);
    else others.push({ type: 'text', text: `(Result of an earlier tool call:) ${plainText(block.content)}` });
  }
  const results = calls.map(
    (call): Block =>
      given.get(call.id) ?? { type: 'tool_result', tool_use_id: call.id, content: 'The result was not kept.', is_error: true },
  );
  return [...results, ...others];
}

function plainText(content: ToolResult['content']): string {
  if (typeof content === 'string') return content;
  return content.map((part) => text.safeParse(part).data?.text ?? '').join('\n');
}
