import type { NewTaskEvent } from '@citb/api';
import type { CanUseTool, PermissionResult } from '@anthropic-ai/claude-agent-sdk';

type Answers = Readonly<Record<string, string | readonly string[]>>;
type QuestionContent = Extract<NewTaskEvent, { type: 'question' }>['content'];

/** The agent's questions to the user of one task: an event goes out, an answer comes in. */
export class Questions {
  readonly #waiting = new Map<string, (answers: Answers | undefined) => void>();
  readonly #emit: (event: NewTaskEvent) => void;

  constructor(emit: (event: NewTaskEvent) => void) {
    this.#emit = emit;
  }

  /** Claude Code's permission callback: only AskUserQuestion comes here when permissions are bypassed. */
  readonly ask: CanUseTool = async (name, input, { toolUseID, signal }): Promise<PermissionResult> => {
    if (name !== 'AskUserQuestion') return { behavior: 'allow', updatedInput: input };
    const { promise, resolve } = Promise.withResolvers<Answers | undefined>();
    this.#waiting.set(toolUseID, resolve);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
    this.#emit({ type: 'question', content: { question_id: toolUseID, questions: questionsOf(input) } });
    const answers = await promise;
    this.#waiting.delete(toolUseID);
    if (answers === undefined) return { behavior: 'deny', message: 'The question was not answered.' };
    return { behavior: 'allow', updatedInput: { ...input, answers: joined(answers) } };
  };

  /** False when nobody waits for this answer. */
  answer(id: string, answers: Answers): boolean {
    const resolve = this.#waiting.get(id);
    resolve?.(answers);
    return resolve !== undefined;
  }

  /** No more answers come. */
  close(): void {
    for (const resolve of this.#waiting.values()) resolve(undefined);
  }
}

function questionsOf(input: Readonly<Record<string, unknown>>): QuestionContent['questions'] {
  const { questions } = input;
  return Array.isArray(questions) ? (questions as QuestionContent['questions']) : [];
}

/** Claude Code takes one string per question; several choices are listed. */
function joined(answers: Answers): Record<string, string> {
  return Object.fromEntries(
    Object.entries(answers).map(([question, answer]) => [question, typeof answer === 'string' ? answer : answer.join(', ')]),
  );
}
