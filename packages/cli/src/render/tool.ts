import { oneLine, printable } from './printable.ts';

/** Which input of a tool says what it does. */
const essential: Readonly<Record<string, readonly string[]>> = {
  Bash: ['command'],
  Read: ['file_path'],
  Write: ['file_path'],
  Edit: ['file_path'],
  NotebookEdit: ['notebook_path'],
  Glob: ['pattern'],
  Grep: ['pattern', 'path'],
  WebFetch: ['url'],
  WebSearch: ['query'],
  Agent: ['description'],
  Task: ['description'],
  Skill: ['skill'],
};

/** The essential input of a tool call on one line; of a tool that is not known, all of it. */
export function toolInput(name: string, input: Readonly<Record<string, unknown>>, width: number): string {
  const named = (essential[name] ?? []).map((key) => input[key]).filter((value) => typeof value === 'string');
  const text = named.length > 0 ? named.join(' ') : JSON.stringify(input);
  return oneLine(text === '{}' ? '' : text.replaceAll('/workspace/', ''), width);
}

/** The text in a tool's result: a string, or Anthropic's blocks. */
export function resultText(content: unknown): string {
  if (typeof content === 'string') return printable(content);
  if (!Array.isArray(content)) return content === undefined || content === null ? '' : printable(JSON.stringify(content));
  return content.map(blockText).join('\n');
}

function blockText(block: unknown): string {
  if (typeof block !== 'object' || block === null) return '';
  if ('text' in block && typeof block.text === 'string') return printable(block.text);
  return 'type' in block && typeof block.type === 'string' ? `[${printable(block.type)}]` : '';
}
