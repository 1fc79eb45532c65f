import { z } from 'zod';

const contentBlock = z.looseObject({
  type: z.string(),
  text: z.string().optional(),
  id: z.string().optional(),
  name: z.string().optional(),
  input: z.record(z.string(), z.unknown()).optional(),
  tool_use_id: z.string().optional(),
  is_error: z.boolean().optional(),
});

/** A request as far as the script reads it. */
export const messagesRequest = z.looseObject({
  model: z.string().default('scripted'),
  stream: z.boolean().default(false),
  tools: z.array(z.looseObject({ name: z.string().default('') })).default([]),
  system: z.unknown().optional(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.union([z.string(), z.array(contentBlock)]) })),
});
export type MessagesRequest = z.infer<typeof messagesRequest>;
type Message = MessagesRequest['messages'][number];

/** What a tool gave back in the running turn. */
export interface ToolResult {
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly isError: boolean;
}

/** Where the script is: all of it derived from the request, so the server keeps no state. */
export interface Turn {
  readonly model: string;
  readonly tools: readonly string[];
  readonly system: string;
  /** The agent's working directory, as its system prompt tells it; `/workspace` when it does not. */
  readonly cwd: string;
  /** The user's text that began the turn. */
  readonly prompt: string;
  /** Assistant messages since then. */
  readonly step: number;
  readonly results: readonly ToolResult[];
  /** How often just this request came before: Claude Code repeats one that failed. */
  readonly attempt: number;
  /** Texts of both sides before the turn, oldest first. */
  readonly earlier: readonly { readonly role: string; readonly text: string }[];
  /** Every block type of the history: so that a test can see images and tool calls arrive. */
  readonly blockTypes: readonly string[];
}

/**
 * Texts that Claude Code puts into user messages by itself (2.1.330): reminders around a prompt, and nudges after
 * a cut, empty or truncated answer. None of them begins a turn of the script.
 */
const machineText =
  /^\s*(<system-reminder>|<task-notification>|<local-command|\[Request interrupted|\[Your previous response|Output token limit|Your response above|Your previous response|The previous response|Tool loaded|\[SYSTEM NOTIFICATION)/;

/** Where a request is in its conversation. */
export function readTurn(request: MessagesRequest, attempt: number): Turn {
  // The binary adds reminders as `system` messages, often last.
  const messages = request.messages.filter((message) => message.role !== 'system');
  const start = Math.max(
    0,
    messages.findLastIndex((message) => message.role === 'user' && humanTexts(message).length > 0),
  );
  const after = messages.slice(start + 1);
  return {
    model: request.model,
    tools: request.tools.map((tool) => tool.name),
    system: textOf(request.system),
    cwd: /orking directory: (\/[^\s"\\]*)/.exec(JSON.stringify([request.system, request.messages]))?.[1] ?? '/workspace',
    prompt: messages[start] === undefined ? '' : (humanTexts(messages[start]).at(-1) ?? ''),
    step: after.filter((message) => message.role === 'assistant').length,
    results: toolResults(after),
    attempt,
    earlier: messages
      .slice(0, start)
      .map((message) => ({ role: message.role, text: message.role === 'user' ? humanTexts(message).join('\n') : textOf(message.content) }))
      .filter((message) => message.text !== ''),
    blockTypes: messages.flatMap((message) =>
      typeof message.content === 'string' ? ['text'] : message.content.map((block) => block.type),
    ),
  };
}

/** The user's own texts. Prompts that got no answer are merged into the next message, one block each. */
function humanTexts(message: Message): string[] {
  const texts =
    typeof message.content === 'string'
      ? [message.content]
      : message.content.flatMap((each) => (each.type === 'text' && each.text !== undefined ? [each.text] : []));
  return texts.filter((text) => text.trim() !== '' && !machineText.test(text));
}

/** All text of a content in any of its forms. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((block: unknown) => (typeof block === 'object' && block !== null && 'text' in block ? String(block.text) : ''))
    .filter((text) => text !== '')
    .join('\n');
}

function toolResults(messages: readonly Message[]): ToolResult[] {
  const blocks = messages.flatMap((message) => (typeof message.content === 'string' ? [] : message.content));
  const calls = new Map(blocks.filter((each) => each.type === 'tool_use').map((each) => [each.id, each]));
  return blocks
    .filter((each) => each.type === 'tool_result')
    .map((each) => {
      const made = calls.get(each.tool_use_id);
      return { name: made?.name ?? '', input: made?.input ?? {}, text: textOf(each['content']), isError: each.is_error === true };
    });
}
