import { z } from 'zod';
import { limits } from './limits.ts';

/**
 * Anthropic's message form, as far as a conversation is rebuilt from it. Unknown blocks are accepted and
 * left out when the history is written (AGENT: foreign thinking signatures would be refused upstream).
 */
const block = z.looseObject({ type: z.string() });
export const contextMessage = z
  .object({ role: z.enum(['user', 'assistant', 'system']), content: z.union([z.string(), z.array(block)]) })
  .meta({ id: 'ContextMessage', description: "An earlier message in Anthropic's form." });
export type ContextMessage = z.infer<typeof contextMessage>;

/** Earlier messages that the agent sees as its history. */
export const context = z.array(contextMessage).max(limits.contextMessages);

/** A file's content in JSON: text, or bytes in base64. */
export const fileContent = z
  .union([z.string(), z.object({ base64: z.base64() })])
  .meta({ description: 'Text, or {"base64": "…"} for bytes.' });
export type FileContent = z.infer<typeof fileContent>;

/** Bytes of a {@link FileContent}. */
export function fileBytes(content: FileContent): Buffer {
  return typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content.base64, 'base64');
}
