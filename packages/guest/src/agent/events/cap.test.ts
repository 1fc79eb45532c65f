import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capEvent } from './cap.ts';

test('an event that fits is left as it is', () => {
  const event = { type: 'text' as const, content: 'short' };
  assert.deepEqual(capEvent(event, 1000), event);
});

test('long strings are cut wherever they are, and say how long they were', () => {
  const input = { path: 'a', content: 'ü'.repeat(100_000), list: Array.from({ length: 50_000 }, () => 1) };
  const capped = capEvent({ type: 'tool_use', content: { id: 'x', name: 'Write', input } }, 10_000);
  assert.ok(Buffer.byteLength(JSON.stringify(capped)) <= 10_000);
  assert.equal(capped.content.name, 'Write');
  assert.match(capped.content.input.content, /cut: 100000 characters in all/);
});

test('what is too large in every way keeps its ids', () => {
  const deep = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`key${index}`, { value: index }]));
  const capped = capEvent({ type: 'tool_result', content: { tool_use_id: 't', content: [deep, deep], is_error: false } }, 1000);
  assert.ok(Buffer.byteLength(JSON.stringify(capped)) <= 1000);
  assert.equal(capped.content.tool_use_id, 't');
});

test('half a character is not left behind', () => {
  const capped = capEvent({ type: 'text', content: '😀'.repeat(10_000) }, 1000);
  assert.ok(capped.content.isWellFormed());
});
