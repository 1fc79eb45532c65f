import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import type { NewTaskEvent } from '@citb/api';
import { createColours } from './colours.ts';
import { TaskView } from './task.ts';

function shown(events: readonly NewTaskEvent[], width = 60): string {
  let printed = '';
  const out = new Writable({
    write(chunk: Buffer, _encoding, done) {
      printed += chunk.toString();
      done();
    },
  });
  const view = new TaskView(out, createColours(out, {}), { width });
  for (const [index, event] of events.entries()) view.event({ ...event, seq: index + 1, ts: new Date(0).toISOString() });
  return printed;
}

const delta = (content: string): NewTaskEvent => ({ type: 'text_delta', content, index: 0 });
const words = (content: string): NewTaskEvent => ({ type: 'text', content });
const call = (name: string, input: Record<string, unknown>): NewTaskEvent => ({ type: 'tool_use', content: { id: 't', name, input } });
const result = (content: unknown, isError = false): NewTaskEvent => ({
  type: 'tool_result',
  content: { tool_use_id: 't', content, is_error: isError },
});

test('a text is shown once, whether its deltas came or not, or only some', () => {
  assert.equal(shown([delta('Hel'), delta('lo'), words('Hello')]), 'Hello\n');
  assert.equal(shown([words('Hello')]), 'Hello\n');
  assert.equal(shown([delta('Hel'), words('Hello')]), 'Hello\n');
  assert.equal(shown([delta('one'), words('one'), delta('two'), words('two')]), 'one\ntwo\n');
});

test('a text that its deltas did not begin is shown whole', () => {
  assert.equal(shown([delta('draft'), words('final')]), 'draft\nfinal\n');
});

test('a tool call is a line with the essential input, and long input is cut', () => {
  assert.equal(shown([call('Write', { file_path: '/workspace/a.py', content: 'x'.repeat(1000) })]), '● Write a.py\n');
  assert.equal(shown([call('Bash', { command: 'cd x\nls' })]), '● Bash cd x ⏎ ls\n');
  assert.equal(shown([call('mcp__x', { a: 1 })]), '● mcp__x {"a":1}\n');
  assert.ok(shown([call('Bash', { command: 'y'.repeat(1000) })]).length <= 61);
});

test('a result is shortened in lines and width', () => {
  const lines = shown([result(Array.from({ length: 20 }, (_, n) => `${n} ${'z'.repeat(200)}`).join('\n'))])
    .trimEnd()
    .split('\n');
  assert.equal(lines.length, 7);
  assert.equal(lines.at(-1), '    … 14 more lines');
  assert.ok(lines.every((line) => line.length <= 60));
  assert.equal(
    shown([
      result([
        { type: 'text', text: 'a' },
        { type: 'image', source: {} },
      ]),
    ]),
    '  └ a\n    [image]\n',
  );
});

test('nothing from a box can steer the terminal', () => {
  const evil = 'a\u001b]0;title\u0007\u001b[2Jb\u009b31mc\rd\u202ee';
  const all = shown([
    delta(evil),
    words(evil),
    { type: 'thinking', content: evil },
    { type: 'tool_use', content: { id: 't', name: evil, input: { [evil]: evil } } },
    result(evil),
    { type: 'error', content: { code: 'x', message: evil, hint: evil } },
    { type: 'question', content: { question_id: 'q', questions: [{ question: evil, options: [{ label: evil, description: evil }] }] } },
    { type: 'completion', content: evil, outcome: 'failed', stop_reason: null },
  ]);
  assert.doesNotMatch(all, /(?!\n)[\p{Cc}\p{Bidi_Control}]/u);
});

test('what a subagent does is set in', () => {
  assert.equal(
    shown([{ type: 'tool_use', content: { id: 't', name: 'Bash', input: { command: 'ls' } }, parent_tool_use_id: 'p' }]),
    '│ ● Bash ls\n',
  );
});
