import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlace } from './place.ts';

test('a colon before any slash is a place in a box', () => {
  assert.deepEqual(parsePlace('ada:a/b'), { kind: 'box', box: 'ada', path: 'a/b', asFolder: false });
  assert.deepEqual(parsePlace('user:ada:a'), { kind: 'box', box: 'user:ada', path: 'a', asFolder: false });
  assert.deepEqual(parsePlace('ada:'), { kind: 'box', box: 'ada', path: '', asFolder: true });
  assert.deepEqual(parsePlace('ada:dir/'), { kind: 'box', box: 'ada', path: 'dir', asFolder: true });
  assert.deepEqual(parsePlace('ada:/workspace/x'), { kind: 'box', box: 'ada', path: 'x', asFolder: false });
  assert.deepEqual(parsePlace('ada:/workspace'), { kind: 'box', box: 'ada', path: '', asFolder: true });
});

test('anything else is local, and "-" a stream', () => {
  for (const path of ['x', './a:b', '/a:b', 'dir/a:b', ':x', 'user:ada']) assert.deepEqual(parsePlace(path), { kind: 'local', path });
  assert.deepEqual(parsePlace('-'), { kind: 'stream' });
});
