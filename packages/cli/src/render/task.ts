import type { Writable } from 'node:stream';
import type { TaskEvent } from '@citb/api';
import type { Colours } from './colours.ts';
import { cut, oneLine, printable } from './printable.ts';
import { resultText, toolInput } from './tool.ts';
import { duration, grouped } from './units.ts';

type Of<T extends TaskEvent['type']> = Extract<TaskEvent, { type: T }>;

/** What is said of a status; of others, their `message` if they have one. `waiting` comes beside a question. */
const statusWords: Readonly<Record<string, (content: Of<'status'>['content']) => string | undefined>> = {
  queued: ({ position }) => waits(Number(position)),
  retrying: ({ attempt, max_attempts: most }) => `the model did not answer; trying again (${String(attempt)} of ${String(most)})`,
  restarted: () => 'the agent was restarted and goes on',
  compacted: () => 'the conversation became long and was summed up',
};

/** Nothing is said of a task that is the next one. */
function waits(before: number): string | undefined {
  if (before === 0) return undefined;
  return before === 1 ? 'waits for the task before it' : `waits for the ${before > 1 ? `${before} ` : ''}tasks before it`;
}

/** Lines of a tool's result that are shown; more are counted. */
const resultLines = 6;

export interface TaskViewOptions {
  /** Columns of the terminal. */
  readonly width?: number | undefined;
  /** Questions are asked by a prompt that has the choices: only their text is shown. */
  readonly asked?: boolean;
}

/** A task's stream for a person: text as it comes, each tool call on a line, results shortened, at the end what it took. */
export class TaskView {
  readonly #out: Writable;
  readonly #colours: Colours;
  readonly #width: number;
  readonly #asked: boolean;
  /** What was printed of a text that is still coming. */
  #printed = '';
  #atLineStart = true;
  /** Shown already: a failed task's completion often says the same again. */
  readonly #errors = new Set<string>();
  /** Shown at the end. */
  #usage: Of<'usage'>['content'] | undefined;

  constructor(out: Writable, colours: Colours, options: TaskViewOptions = {}) {
    this.#out = out;
    this.#colours = colours;
    this.#width = Math.max(40, options.width ?? 100);
    this.#asked = options.asked ?? false;
  }

  /** Shows one event. */
  event(event: TaskEvent): void {
    switch (event.type) {
      case 'text_delta':
        return event.parent_tool_use_id === undefined ? this.#delta(event.content) : undefined;
      case 'text':
        return this.#text(event);
      case 'thinking':
        return this.#line(this.#colours.dim(`✻ ${oneLine(event.content, this.#width - 2)}`), event.parent_tool_use_id);
      case 'tool_use':
        return this.#toolUse(event);
      case 'tool_result':
        return this.#toolResult(event);
      case 'status':
        return this.#status(event);
      case 'question':
        return this.#question(event);
      case 'error':
        return this.#error(event);
      case 'completion':
        return this.#completion(event);
      case 'usage':
        this.#usage = event.content;
        return undefined;
      case 'thinking_delta':
        // The whole thinking follows.
        return undefined;
    }
  }

  /** Ends a line that is half printed, so that something else can be said. */
  flush(): void {
    if (!this.#atLineStart) this.#write('\n');
    this.#printed = '';
  }

  #delta(content: string): void {
    this.#printed += content;
    this.#write(printable(content));
  }

  /** Deltas have shown it already, mostly; what they did not show comes now, and each text once. */
  #text(event: Of<'text'>): void {
    if (event.parent_tool_use_id !== undefined)
      return this.#line(this.#colours.dim(oneLine(event.content, this.#width - 4)), event.parent_tool_use_id);
    if (event.content.startsWith(this.#printed)) this.#write(printable(event.content.slice(this.#printed.length)));
    else {
      this.flush();
      this.#write(printable(event.content));
    }
    this.flush();
  }

  #toolUse({ content: { name, input }, parent_tool_use_id: parent }: Of<'tool_use'>): void {
    const shown = oneLine(name, 40);
    const rest = toolInput(name, input, this.#width - shown.length - 5);
    this.#line(`${this.#colours.cyan('●')} ${this.#colours.bold(shown)} ${rest}`, parent);
  }

  #toolResult({ content, parent_tool_use_id: parent }: Of<'tool_result'>): void {
    const lines = resultText(content.content).trim().split('\n');
    const more = lines.length - resultLines;
    const paint = content.is_error ? this.#colours.red : this.#colours.dim;
    const shown = lines.slice(0, more > 1 ? resultLines : lines.length).map((line) => cut(line.replaceAll('\t', '    '), this.#width - 6));
    if (more > 1) shown.push(`… ${more} more lines`);
    for (const [index, line] of shown.entries()) this.#line(paint(`${index === 0 ? '  └ ' : '    '}${line}`), parent);
  }

  #status({ content }: Of<'status'>): void {
    const said = statusWords[content.status]?.(content) ?? (typeof content['message'] === 'string' ? content['message'] : undefined);
    if (said !== undefined && content.status !== 'waiting') this.#line(this.#colours.yellow(`… ${oneLine(said, this.#width)}`));
  }

  #question({ content }: Of<'question'>): void {
    for (const { question, options } of content.questions) {
      this.#line(`${this.#colours.magenta('?')} ${this.#colours.bold(oneLine(question, 1000))}`);
      for (const { label, description } of this.#asked ? [] : (options ?? [])) {
        this.#line(
          `    ${oneLine(label, 100)}${description === undefined ? '' : this.#colours.dim(` – ${oneLine(description, this.#width)}`)}`,
        );
      }
    }
  }

  #error({ content }: Of<'error'>): void {
    const message = oneLine(content.message, 2000);
    this.#errors.add(message);
    this.#line(this.#colours.red(`✖ ${message}`));
    if (content.hint !== undefined) this.#line(this.#colours.dim(`  ${oneLine(content.hint, 2000)}`));
  }

  #completion(event: Of<'completion'>): void {
    const usage = event.usage ?? this.#usage;
    const took =
      usage === undefined ? [] : [duration(usage.duration_ms), `${usage.num_turns} turns`, tokens(usage), `$${usage.cost_usd.toFixed(4)}`];
    const paint = { done: this.#colours.green, failed: this.#colours.red, interrupted: this.#colours.yellow }[event.outcome];
    const mark = { done: '✔', failed: '✖', interrupted: '■' }[event.outcome];
    const why = oneLine(event.content, 2000);
    const told = event.outcome === 'done' || [...this.#errors].some((error) => why.startsWith(error)) || why === '' ? '' : `: ${why}`;
    this.#line(`${paint(`${mark} ${event.outcome}${told}`)}${this.#colours.dim(took.map((part) => ` · ${part}`).join(''))}`);
  }

  /** A line of its own; what a subagent does is set in. */
  #line(text: string, parent?: string): void {
    this.flush();
    this.#write(`${parent === undefined ? '' : this.#colours.dim('│ ')}${text}\n`);
  }

  #write(text: string): void {
    if (text === '') return;
    this.#out.write(text);
    this.#atLineStart = text.endsWith('\n');
  }
}

function tokens(usage: Of<'usage'>['content']): string {
  const cached = usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
  return `${grouped(usage.input_tokens + cached)} tokens in, ${grouped(usage.output_tokens)} out`;
}
