import { type Reply, type Scenario, call, say } from './script.ts';
import type { Turn } from './history.ts';

/**
 * The scenario of a prompt without a marker: does what simple requests ask for, with real tools. Enough for a
 * demonstration without a key; it never pretends to understand more.
 */
export const assistant: Scenario = (turn) => {
  if (turn.tools.length === 0) return say('Scripted model.');
  const wish = readWish(turn.prompt);
  if (wish.kind === 'create') return create(turn, wish.file, wish.source, wish.command);
  if (wish.kind === 'run') return run(turn, wish.file, wish.command);
  if (wish.kind === 'list') return list(turn);
  return say(
    'I am the scripted model: I stand in for Claude where there is no Anthropic key, and only know a few requests. ' +
      'Try "Create a Python script that prints hello world", "Run the hello.py script" or "List the files".',
  );
};

type Wish =
  | { readonly kind: 'create'; readonly file: string; readonly source: string; readonly command: string }
  | { readonly kind: 'run'; readonly file: string; readonly command: string }
  | { readonly kind: 'list' }
  | { readonly kind: 'other' };

interface Language {
  readonly words: RegExp;
  readonly extension: string;
  readonly program: string;
  /** The source of a program that prints a text, given as a JSON string literal. */
  readonly printing: (literal: string, text: string) => string;
}

const languages: readonly Language[] = [
  {
    words: /\b(node|javascript|js)\b/i,
    extension: 'js',
    program: 'node',
    printing: (literal) => `console.log(${literal});\n`,
  },
  {
    words: /\b(bash|shell|sh)\b/i,
    extension: 'sh',
    program: 'bash',
    printing: (_, text) => `#!/bin/bash\necho '${text.replaceAll("'", "'\\''")}'\n`,
  },
];
const python: Language = {
  words: /\bpython\b/i,
  extension: 'py',
  program: 'python3',
  printing: (literal) => `print(${literal})\n`,
};

/** Up to the end of the sentence or the quotation, or to what is to be done next. */
const printed = /\b(?:print(?:s|ing)?|says?|outputs?)\s+["'“]?([^"'”.\n]{1,200}?)(?=["'”.\n]|,? (?:and|then) (?:run|execute|start)\b|$)/i;

function readWish(prompt: string): Wish {
  const named = /(?<![\w./-])([\w-]+(?:\/[\w-]+)*\.(py|js|sh))\b/.exec(prompt);
  const language =
    [python, ...languages].find((each) => (named === null ? each.words.test(prompt) : each.extension === named[2])) ?? python;
  if (/\b(create|write|make|build|add)\b/i.test(prompt)) {
    const text = printed.exec(prompt)?.[1]?.trim() ?? 'hello world';
    const file = named?.[1] ?? `hello.${language.extension}`;
    return { kind: 'create', file, source: language.printing(JSON.stringify(text), text), command: `${language.program} ${file}` };
  }
  if (/\b(run|execute|start)\b/i.test(prompt)) {
    const file = named?.[1] ?? 'hello.py';
    return { kind: 'run', file, command: `${language.program} ${file}` };
  }
  if (/\b(list|show|which|what)\b.*\bfiles?\b/i.test(prompt)) return { kind: 'list' };
  return { kind: 'other' };
}

/** Write, then Bash. Write refuses to replace a file that was not read: then Read and Write again. */
function create(turn: Turn, file: string, source: string, command: string): Reply {
  const write = { file_path: `${turn.cwd}/${file}`, content: source };
  const last = turn.results.at(-1);
  if (last === undefined) return call('Write', write, `I'll create ${file} and run it to check that it works.`);
  if (last.name === 'Bash')
    return say(
      `${last.isError ? `I created ${file}, but running it failed` : `Done! I created ${file}, and running it printed`}:\n\n${fenced(last.text)}`,
    );
  if (last.name === 'Write' && !last.isError) return call('Bash', { command, description: `Run ${file}` }, 'Now I run it.');
  if (last.name === 'Write' && turn.results.length === 1)
    return call('Read', { file_path: write.file_path }, `There is a ${file} already; I read it first.`);
  if (last.name === 'Read' && !last.isError) return call('Write', write);
  return say(`I could not write ${file}: ${last.text.slice(0, 500)}`);
}

function run(turn: Turn, file: string, command: string): Reply {
  const last = turn.results.at(-1);
  if (last === undefined) return call('Bash', { command: `cd ${turn.cwd} && ${command}`, description: `Run ${file}` }, `I'll run ${file}.`);
  if (last.isError) return say(`Running ${file} failed:\n\n${fenced(last.text)}`);
  return say(`Done! ${file} printed:\n\n${fenced(last.text)}`);
}

function list(turn: Turn): Reply {
  const last = turn.results.at(-1);
  if (last === undefined)
    return call('Bash', { command: `ls -la ${turn.cwd}`, description: 'List the workspace' }, 'I look into the workspace.');
  return say(`These files are in ${turn.cwd}:\n\n${fenced(last.text)}`);
}

function fenced(text: string): string {
  return `\`\`\`\n${text.slice(0, 4000).trimEnd()}\n\`\`\``;
}
