import { setTimeout as sleep } from 'node:timers/promises';
import { isCancel, multiselect, select, text } from '@clack/prompts';
import type { AnswerRequest, TaskEvent } from '@citb/api';
import { ApiError, type Task } from '@citb/sdk';
import type { Cli } from './cli.ts';
import { oneLine } from './render/index.ts';

type Question = Extract<TaskEvent, { type: 'question' }>['content'];
type Answers = AnswerRequest['answers'];

/** A question of a replay is followed by what came after it: so long nothing must come before we ask, ms. */
const settleMs = 250;
const ownWords = Symbol('own words');

/** Asks the agent's questions at the terminal while the stream goes on; stops asking when somebody else has answered. */
export class QuestionAsker {
  readonly #cli: Cli;
  readonly #task: Task;
  readonly #interrupt: () => void;
  #asking: { readonly id: string; readonly stop: AbortController; readonly done: Promise<void> } | undefined;

  /** @param interrupt what Ctrl-C in a prompt means */
  constructor(cli: Cli, task: Task, interrupt: () => void) {
    this.#cli = cli;
    this.#task = task;
    this.#interrupt = interrupt;
  }

  /** Somebody sits here. */
  get canAsk(): boolean {
    return this.#cli.stdin.isTTY && this.#cli.stdout.isTTY;
  }

  /** Resolves when the terminal is not taken by a prompt. */
  get idle(): Promise<void> {
    return this.#asking?.done ?? Promise.resolve();
  }

  /** Told of each event: begins to ask, and stops when the question is answered or the task has ended. */
  async event(event: TaskEvent): Promise<void> {
    const answered = event.type === 'tool_result' && event.content.tool_use_id === this.#asking?.id;
    if (answered || event.type === 'completion') await this.leave();
    if (event.type !== 'question') return;
    if (!this.canAsk) return this.#tellHow(event.content);
    const stop = new AbortController();
    // Questions at once are asked one after the other.
    const done = this.idle.then(() => this.#ask(event.content, stop.signal));
    this.#asking = { id: event.content.question_id, stop, done };
  }

  /** Takes an open prompt away. */
  async leave(): Promise<void> {
    const asking = this.#asking;
    this.#asking = undefined;
    asking?.stop.abort();
    await asking?.done;
  }

  async #ask(question: Question, signal: AbortSignal): Promise<void> {
    try {
      await sleep(settleMs, undefined, { signal });
      const answers = await askAll(question, signal);
      if (signal.aborted) return;
      if (answers === undefined) return this.#interrupt();
      await this.#task.answer(question.question_id, answers);
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.code === 'question_not_found')) return;
      this.#cli.note(`The answer did not arrive: ${(error as Error).message}`);
    }
  }

  #tellHow(question: Question): void {
    const first = JSON.stringify(question.questions[0]?.question ?? '');
    this.#cli.note(
      `The agent waits for an answer: POST /v1/boxes/${this.#task.boxId}/tasks/${this.#task.id}/answers/${question.question_id}`,
    );
    this.#cli.note(`  with {"answers": {${oneLine(first, 200)}: "…"}}, or run this at a terminal.`);
  }
}

/** All questions, one after the other; `undefined` when the user pressed Ctrl-C. */
async function askAll(question: Question, signal: AbortSignal): Promise<Answers | undefined> {
  const answers: Answers = {};
  for (const each of question.questions) {
    const answer = await askOne(each, signal);
    if (answer === undefined) return undefined;
    answers[each.question] = answer;
  }
  return answers;
}

async function askOne(question: Question['questions'][number], signal: AbortSignal): Promise<string | string[] | undefined> {
  const message = oneLine(question.header ?? 'Your answer', 100);
  const options = (question.options ?? []).map(({ label, description }) => ({
    value: label as string | typeof ownWords,
    label: oneLine(label, 100),
    ...(description === undefined ? {} : { hint: oneLine(description, 100) }),
  }));
  if (options.length > 0 && question.multiSelect === true) {
    const chosen = await multiselect({ message, options, required: true, signal });
    return isCancel(chosen) ? undefined : chosen.filter((value) => typeof value === 'string');
  }
  if (options.length > 0) {
    const chosen = await select({ message, options: [...options, { value: ownWords, label: 'In my own words…' }], signal });
    if (isCancel(chosen)) return undefined;
    if (typeof chosen === 'string') return chosen;
  }
  const words = await text({ message, signal });
  return isCancel(words) ? undefined : words;
}
