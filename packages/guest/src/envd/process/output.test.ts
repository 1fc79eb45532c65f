import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@citb/api';
import { Output, type OutputReader, outputLimits } from './output.ts';

function drain(reader: OutputReader): { stdout: string; stderr: string } {
  const seen = { stdout: '', stderr: '', pty: '' };
  for (let piece = reader.take(); piece !== undefined; piece = reader.take()) seen[piece.channel] += piece.bytes.toString('latin1');
  return seen;
}

test('every reader gets what is kept and what comes, in order', () => {
  const output = new Output(() => undefined);
  output.append('stdout', Buffer.from('a'));
  using early = output.read();
  assert.equal(drain(early).stdout, 'a');
  output.append('stdout', Buffer.from('b'));
  output.append('stderr', Buffer.from('!'));
  output.append('stdout', Buffer.from('c'));
  using late = output.read();
  output.end();
  assert.deepEqual(drain(early), { stdout: 'bc', stderr: '!', pty: '' });
  assert.deepEqual(drain(late), { stdout: 'abc', stderr: '!', pty: '' });
  assert.ok(early.done && late.done);
});

test('without readers the newest MiB is kept, however small the parts are', () => {
  const output = new Output(() => undefined);
  for (let index = 0; index < 200_000; index += 1) output.append('stdout', Buffer.from(`${index}\n`));
  using reader = output.read();
  const { stdout } = drain(reader);
  assert.ok(stdout.length > outputLimits.kept * 0.7 && stdout.length <= outputLimits.kept, String(stdout.length));
  assert.ok(stdout.endsWith('199998\n199999\n'));
});

test('the process is held while a reader is behind, and loses nothing', () => {
  const holds: boolean[] = [];
  const output = new Output((held) => holds.push(held));
  using reader = output.read();
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let sent = 0;
  while (holds.length === 0) {
    output.append('stdout', chunk);
    sent += chunk.length;
  }
  assert.ok(sent <= outputLimits.high + 2 * chunk.length, String(sent));
  assert.equal(drain(reader).stdout.length, sent);
  assert.deepEqual(holds, [true, false]);
});

test('a reader that leaves lets the process go on', () => {
  const holds: boolean[] = [];
  const output = new Output((held) => holds.push(held));
  const reader = output.read();
  for (let index = 0; index < 10; index += 1) output.append('stdout', Buffer.alloc(64 * 1024));
  assert.deepEqual(holds, [true]);
  reader[Symbol.dispose]();
  assert.deepEqual(holds, [true, false]);
});

test('when holding does not help, a reader far behind is dropped and told so', () => {
  const output = new Output(() => undefined);
  using reader = output.read();
  for (let index = 0; index < 100; index += 1) output.append('stdout', Buffer.alloc(64 * 1024));
  assert.throws(
    () => reader.take(),
    (error) => error instanceof ApiError && error.code === 'queue_full',
  );
});
