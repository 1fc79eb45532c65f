import { assistant } from './assistant.ts';
import { faults } from './faults.ts';
import { type Delivery, type Arguments, type Reply, type Scenario, call, numberOf, say } from './script.ts';
import type { Turn } from './history.ts';

/** `n` words, each of them different, so that a lost or doubled delta shows. */
function words(n: number): string {
  return Array.from({ length: n }, (_, index) => `word${index}`).join(' ');
}

function delivery(args: Arguments): Delivery {
  return { pieces: numberOf(args, 'deltas', 4), gapMs: numberOf(args, 'ms', 0), delayMs: numberOf(args, 'delay', 0) };
}

/** One tool call, then an answer with what it gave. */
function oneCall(turn: Turn, name: string, input: Record<string, unknown>): Reply {
  const last = turn.results.at(-1);
  if (last === undefined) return call(name, input, `I use ${name}.`);
  return say(last.isError ? `${name} failed: ${last.text}` : `${name} gave: ${last.text}`);
}

/**
 * Scenarios by name. Arguments in brackets are optional.
 * - `say` [text] [deltas] [ms] [delay]: one text. `long` [words] [ms]: many words, a delta each
 * - `think` [text]: a thinking block, then text
 * - `write` path, content · `read` path · `bash` command [background] · `tool` name, input (JSON): one call, then its result as text
 * - `write_and_run` path, content, command: Write, then Bash, then the output
 * - `many_tools` n: n Bash calls one after another
 * - `ask` question, options ("A|B") [multi]: AskUserQuestion, then the answer as text
 * - `subagent` prompt [background]: the Agent tool with a prompt that may hold a marker of its own
 * - `recall`: the earlier texts of both sides as JSON; `history`: role-less facts of the request (block types, tools, system length)
 * - `wait` name [text] [after]: holds the answer until `release(name)`; `after` events are sent before
 * - and all of {@link faults}
 */
export const scenarios: Readonly<Record<string, Scenario>> = {
  assistant,
  ...faults,
  say: (_turn, args) => say(args['text'] ?? 'All is well.', delivery(args)),
  long: (_turn, args) => {
    const n = numberOf(args, 'words', 100);
    return say(words(n), { ...delivery(args), pieces: numberOf(args, 'deltas', n) });
  },
  think: (_turn, args) => ({
    kind: 'message',
    blocks: [
      { type: 'thinking', thinking: args['thought'] ?? 'Let me think about this.' },
      { type: 'text', text: args['text'] ?? 'I have thought.' },
    ],
    delivery: delivery(args),
  }),
  write: (turn, args) => oneCall(turn, 'Write', { file_path: absolute(turn, args['path'] ?? 'file.txt'), content: args['content'] ?? '' }),
  read: (turn, args) => oneCall(turn, 'Read', { file_path: absolute(turn, args['path'] ?? 'file.txt') }),
  bash: (turn, args) =>
    oneCall(turn, 'Bash', {
      command: args['command'] ?? 'true',
      description: 'Run a command',
      ...(args['background'] === undefined ? {} : { run_in_background: true }),
    }),
  tool: (turn, args) => oneCall(turn, args['name'] ?? 'Bash', JSON.parse(args['input'] ?? '{}') as Record<string, unknown>),
  write_and_run: (turn, args) => {
    if (turn.step === 0)
      return call('Write', { file_path: absolute(turn, args['path'] ?? 'a.sh'), content: args['content'] ?? '' }, 'First the file.');
    if (turn.step === 1) return call('Bash', { command: args['command'] ?? 'true', description: 'Run it' }, 'Now I run it.');
    return say(`It printed: ${turn.results.at(-1)?.text ?? ''}`);
  },
  many_tools: (turn, args) => {
    const n = numberOf(args, 'n', 3);
    if (turn.step < n) return call('Bash', { command: `echo call ${turn.step}`, description: 'Count' });
    return say(`${turn.results.length} results: ${turn.results.map((result) => result.text).join(', ')}`);
  },
  ask: (turn, args) =>
    oneCall(turn, 'AskUserQuestion', {
      questions: [
        {
          question: args['question'] ?? 'Which colour?',
          header: 'Choice',
          multiSelect: args['multi'] !== undefined,
          options: (args['options'] ?? 'Red|Blue').split('|').map((label) => ({ label, description: `Take ${label}` })),
        },
      ],
    }),
  subagent: (turn, args) => {
    const last = turn.results.at(-1);
    const background = args['background'] !== undefined;
    if (last === undefined)
      return call('Agent', {
        description: 'A part of the work',
        prompt: args['prompt'] ?? '[[scenario:say text="part done"]]',
        subagent_type: 'general-purpose',
        run_in_background: background,
      });
    return say(background ? 'The subagent works in the background.' : `The subagent said: ${last.text}`);
  },
  recall: (turn) => say(JSON.stringify(turn.earlier.map((each) => `${each.role}: ${each.text}`))),
  history: (turn) =>
    say(JSON.stringify({ blocks: turn.blockTypes, tools: turn.tools, prompt: turn.prompt, system: turn.system.slice(-2000) })),
  wait: (_turn, args) =>
    say(args['text'] ?? 'Released.', {
      waitFor: args['name'] ?? 'default',
      ...(args['after'] === undefined ? {} : { waitAfterEvents: numberOf(args, 'after', 3) }),
    }),
};

function absolute(turn: Turn, path: string): string {
  return path.startsWith('/') ? path : `${turn.cwd}/${path}`;
}
