import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { OutputDecoder, type Piece } from './decoder.ts';

function decode(chunks: readonly Uint8Array[]): Piece[] {
  const decoder = new OutputDecoder();
  return [...chunks.map((chunk) => decoder.push(chunk)), decoder.end()].filter((piece) => piece !== undefined);
}

/** Cuts bytes at random places. */
function shred(bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = randomInt(1, 5);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

test('text stays text wherever it is cut', () => {
  const text = '\uFEFFAscii, ümlaut, 漢字, \u{1F600}\u{1F468}\u200D\u{1F469}, NUL \0 and ESC \u001b[0m\n'.repeat(20);
  for (let round = 0; round < 50; round += 1) {
    const pieces = decode(shred(Buffer.from(text)));
    assert.ok(pieces.every(({ encoding }) => encoding === 'utf8'));
    assert.equal(pieces.map(({ data }) => data).join(''), text);
  }
});

test('bytes that are no text come whole, in base64', () => {
  for (let round = 0; round < 50; round += 1) {
    const bytes = Buffer.from(Array.from({ length: 300 }, () => randomInt(256)));
    const pieces = decode(shred(bytes));
    assert.deepEqual(Buffer.concat(pieces.map(({ data, encoding }) => Buffer.from(data, encoding))), bytes);
  }
});

test('half a character at the end is not lost', () => {
  assert.deepEqual(decode([Buffer.from('ab'), Buffer.from([0xf0, 0x9f])]), [
    { data: 'ab', encoding: 'utf8' },
    { data: '8J8=', encoding: 'base64' },
  ]);
});
