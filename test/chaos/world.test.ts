import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moved, put, removed } from './steps.ts';
import { Belief, done, emptyWorld } from './world.ts';

const write = put('a', Buffer.from('new'));

test('what was answered is there, what was not may be or not', () => {
  const belief = new Belief([emptyWorld]);
  belief.unanswered(write);
  assert.equal(belief.worlds.length, 2);
  belief.unanswered(write);
  assert.equal(belief.worlds.length, 2, 'worlds that are equal are one');
  assert.ok(belief.answered((world) => moved(world, 'a', 'b'), 'file_not_found'));
  assert.deepEqual(belief.worlds, [emptyWorld], 'the answer tells that it was not');
  assert.ok(!belief.answered((world) => removed(world, 'a'), 'ok'), 'no world would answer so');
});

test('a task that is done has left its file and its mark, once', () => {
  const open = { ...emptyWorld, open: { mark: 'hash' } };
  const after = { ...emptyWorld, marks: ['mark'], files: { 'mark.txt': 'hash' } };
  assert.deepEqual(done(open, 'mark'), after);
  assert.deepEqual(done(after, 'mark'), after);
});
