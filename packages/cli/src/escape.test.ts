import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EscapeSequence } from './escape.ts';

function typed(...pieces: string[]): { sent: string; leave: boolean } {
  const escape = new EscapeSequence();
  let sent = '';
  for (const piece of pieces) {
    const { send, leave } = escape.feed(Buffer.from(piece));
    sent += send.toString();
    if (leave) return { sent, leave };
  }
  return { sent, leave: false };
}

test('~. at the start of a line leaves, also typed key by key', () => {
  assert.deepEqual(typed('~.'), { sent: '', leave: true });
  assert.deepEqual(typed('ls\r', '~', '.'), { sent: 'ls\r', leave: true });
});

test('elsewhere it is text, and ~~ is one ~', () => {
  assert.deepEqual(typed('ls ~.'), { sent: 'ls ~.', leave: false });
  assert.deepEqual(typed('~~.'), { sent: '~.', leave: false });
  assert.deepEqual(typed('~/x\r'), { sent: '~/x\r', leave: false });
});
