import assert from 'node:assert/strict';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { EventType, FileType } from '@citb/api/gen/filesystem_pb.js';
import { Code, ConnectError } from '@connectrpc/connect';
import { isRoot, testbed } from '../testbed.ts';

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error === undefined ? 'no error' : (Code[ConnectError.from(error).code] ?? 'unknown');
}

test('folders are made, listed to a depth, moved and removed', async (t) => {
  const { files, home } = await testbed(t);
  const { entry } = await files.makeDir({ path: 'a/b' });
  assert.deepEqual([entry?.path, entry?.name, entry?.type], [join(home, 'a/b'), 'b', FileType.DIRECTORY]);
  assert.equal(entry?.owner, isRoot ? 'user' : entry?.owner);
  writeFileSync(join(home, 'a/b/f'), '12345', { mode: 0o640 });
  symlinkSync('b/f', join(home, 'a/link'));
  assert.equal(await codeOf(files.makeDir({ path: 'a/b' })), 'AlreadyExists');
  assert.equal(await codeOf(files.makeDir({ path: 'a/b/f' })), 'InvalidArgument');

  const shallow = await files.listDir({ path: '~/a' });
  assert.deepEqual(
    shallow.entries.map(({ name, type }) => [name, type]),
    [
      ['b', FileType.DIRECTORY],
      ['link', FileType.FILE],
    ],
  );
  assert.equal(shallow.entries[1]?.symlinkTarget, join(home, 'a/b/f'));
  const deep = await files.listDir({ path: 'a', depth: 2 });
  const file = deep.entries.find(({ name }) => name === 'f');
  assert.deepEqual([file?.path, file?.size, file?.mode, file?.permissions], [join(home, 'a/b/f'), 5n, 0o640, '-rw-r-----']);
  assert.equal(await codeOf(files.listDir({ path: 'none' })), 'NotFound');
  assert.equal(await codeOf(files.listDir({ path: 'a/b/f' })), 'InvalidArgument');

  assert.equal((await files.move({ source: 'a/b/f', destination: 'c/g' })).entry?.path, join(home, 'c/g'));
  assert.equal(await codeOf(files.move({ source: 'a/b/f', destination: 'x' })), 'NotFound');
  if (existsSync('/dev/shm')) {
    const elsewhere = `/dev/shm/citb-envd-test-${process.pid}`;
    await files.move({ source: 'c', destination: elsewhere });
    assert.equal(existsSync(join(elsewhere, 'g')), true, 'to another file system');
    await files.remove({ path: elsewhere });
  }
  assert.equal((await files.stat({ path: '/' })).entry?.type, FileType.DIRECTORY);
  assert.equal(await codeOf(files.stat({ path: 'none' })), 'NotFound');
  await files.remove({ path: 'a' });
  await files.remove({ path: 'a' });
  assert.equal(existsSync(join(home, 'a')), false);
});

test('a watch streams events, with the entry when asked to', { timeout: 30_000 }, async (t) => {
  const { files, home } = await testbed(t);
  mkdirSync(join(home, 'w'));
  const stop = new AbortController();
  const events: string[] = [];
  try {
    for await (const { event } of files.watchDir({ path: 'w', includeEntry: true }, { signal: stop.signal })) {
      if (event.case === 'start') writeFileSync(join(home, 'w/f'), 'x');
      if (event.case === 'filesystem') events.push(`${EventType[event.value.type]} ${event.value.name} ${event.value.entry?.size}`);
      if (events.length === 2) stop.abort();
    }
  } catch (error) {
    assert.equal(ConnectError.from(error).code, Code.Canceled);
  }
  assert.deepEqual(events, ['CREATE f 1', 'WRITE f 1']);
  const nowhere = files.watchDir({ path: 'none' })[Symbol.asyncIterator]();
  assert.equal(await codeOf(nowhere.next()), 'NotFound');
});

test('a watcher is asked for its events', { timeout: 30_000 }, async (t) => {
  const { files, home } = await testbed(t);
  mkdirSync(join(home, 'w/sub'), { recursive: true });
  const { watcherId } = await files.createWatcher({ path: 'w', recursive: true });
  writeFileSync(join(home, 'w/sub/f'), '');
  const seen: string[] = [];
  while (!seen.includes('CREATE sub/f')) {
    const { events } = await files.getWatcherEvents({ watcherId });
    seen.push(...events.map(({ name, type }) => `${EventType[type]} ${name}`));
    await sleep(20);
  }
  await files.removeWatcher({ watcherId });
  assert.equal(await codeOf(files.getWatcherEvents({ watcherId })), 'NotFound');
  assert.equal(await codeOf(files.removeWatcher({ watcherId })), 'NotFound');
});
