import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceLines } from './apt-sources.ts';

const listed = [
  'bookworm|http://archive.test/debian/ bookworm main',
  'bookworm|http://archive.test/debian/ bookworm main',
  'bookworm-security|http://archive.test/security/ bookworm-security main',
  'bookworm-backports|http://archive.test/debian/ bookworm-backports main',
  'trixie|http://archive.test/debian/ trixie main',
].join('\n');

test('the sources are those of the release with its updates, each once', () => {
  const signed = 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]';
  assert.deepEqual(sourceLines('bookworm', listed), [
    `${signed} http://archive.test/debian/ bookworm main`,
    `${signed} http://archive.test/security/ bookworm-security main`,
  ]);
});

test('a machine that follows another release has none', () => {
  assert.deepEqual(sourceLines('bookworm', 'noble|http://archive.test/ubuntu/ noble main'), []);
  assert.deepEqual(sourceLines('bookworm', ''), []);
});
