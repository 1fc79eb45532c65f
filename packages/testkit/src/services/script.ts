import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { AnswerRequest, NewTaskEvent } from '@citb/api';

/** What a script knows of its task. */
export interface ScriptedTask {
  readonly prompt: string;
  /** Folder of the box's files. */
  readonly workspace: string;
  /** Aborted when the task is cancelled or its box killed. */
  readonly signal: AbortSignal;
  /** Resolves when a question with this id was answered. */
  answer(questionId: string): Promise<AnswerRequest>;
}
export type TaskScript = (task: ScriptedTask) => AsyncIterable<NewTaskEvent>;

/** Every kind of event once: the agent writes `hello.py` and says so. A prompt with "ask" in it makes it ask first. */
export async function* cannedScript(task: ScriptedTask): AsyncIterable<NewTaskEvent> {
  yield { type: 'status', content: { status: 'started' } };
  yield { type: 'thinking', content: 'A small program will do.' };
  yield { type: 'text_delta', content: 'I will write ', index: 0 };
  yield { type: 'text_delta', content: 'hello.py.', index: 0 };
  yield { type: 'text', content: 'I will write hello.py.', message_id: 'msg_1' };
  if (/\bask\b/i.test(task.prompt)) {
    const question = {
      question: 'Which greeting?',
      header: 'Greeting',
      options: [{ label: 'Hello' }, { label: 'Hi' }],
      multiSelect: false,
    };
    yield { type: 'question', content: { question_id: 'question_1', questions: [question] } };
    const { answers } = await task.answer('question_1');
    yield { type: 'text', content: `You chose ${String(answers['Which greeting?'])}.` };
  }
  const content = 'print("Hello World")\n';
  const input = { file_path: '/workspace/hello.py', content };
  yield { type: 'tool_use', content: { id: 'toolu_1', name: 'Write', input }, message_id: 'msg_1' };
  await writeFile(path.join(task.workspace, 'hello.py'), content);
  yield { type: 'tool_result', content: { tool_use_id: 'toolu_1', content: 'File created', is_error: false } };
  yield { type: 'text', content: 'hello.py is written.', message_id: 'msg_2' };
  yield {
    type: 'usage',
    content: {
      input_tokens: 100,
      output_tokens: 20,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      cost_usd: 0.001,
      num_turns: 2,
      duration_ms: 5,
    },
  };
  yield { type: 'completion', content: 'hello.py is written.', outcome: 'done', stop_reason: 'end_turn' };
}
