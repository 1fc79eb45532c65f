import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { normalise } from './normalise.ts';

const text = (value: string): { type: 'text'; text: string } => ({ type: 'text', text: value });

suite('a history from outside', () => {
  test('roles take turns and the user begins', () => {
    const history = normalise([
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'One' },
      { role: 'user', content: 'Two' },
      { role: 'assistant', content: 'A' },
      { role: 'assistant', content: [text('B')] },
    ]);
    assert.deepEqual(
      history.map((message) => message.role),
      ['user', 'assistant', 'user', 'assistant'],
    );
    assert.deepEqual(history[2]?.content, [text('One'), text('Two')]);
  });

  test('a system message becomes text of the user', () => {
    assert.deepEqual(normalise([{ role: 'system', content: 'Be brief.' }]), [{ role: 'user', content: [text('Be brief.')] }]);
  });

  test('what the API would refuse is left out: thinking, unknown blocks, empty texts', () => {
    const history = normalise([
      { role: 'user', content: [text(' '), { type: 'audio', data: 'x' }, text('Q')] },
      { role: 'assistant', content: [{ type: 'thinking', thinking: 'hm', signature: 'foreign' }, text('A')] },
      { role: 'user', content: '' },
    ]);
    assert.deepEqual(history, [
      { role: 'user', content: [text('Q')] },
      { role: 'assistant', content: [text('A')] },
    ]);
  });

  test('each call has its result right after it, made up as missing if it is', () => {
    const history = normalise([
      { role: 'user', content: 'Q' },
      {
        role: 'assistant',
        content: [
          { type: 'tool_use', id: 'call:1', name: 'Run it', input: {} },
          { type: 'tool_use', id: 'b', name: 'Two', input: {} },
        ],
      },
      { role: 'user', content: [text('and'), { type: 'tool_result', tool_use_id: 'call:1', content: 'ok' }] },
    ]);
    assert.deepEqual(history[1]?.content[0], { type: 'tool_use', id: 'call_1', name: 'Run_it', input: {} });
    assert.deepEqual(history[2]?.content, [
      { type: 'tool_result', tool_use_id: 'call_1', content: 'ok' },
      { type: 'tool_result', tool_use_id: 'b', content: 'The result was not kept.', is_error: true },
      text('and'),
    ]);
  });

  test('a call at the very end gets its missing result', () => {
    const history = normalise([
      { role: 'user', content: 'Q' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'Run', input: {} }] },
    ]);
    assert.equal(history.at(-1)?.content[0]?.type, 'tool_result');
  });

  test('a result without its call becomes text', () => {
    const history = normalise([{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'x', content: [text('42')] }] }]);
    assert.match(JSON.stringify(history), /Result of an earlier tool call:\) 42/);
  });

  test('images of the user stay', () => {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } };
    assert.deepEqual(normalise([{ role: 'user', content: [image] }])[0]?.content, [image]);
  });
});
