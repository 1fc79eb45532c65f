import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildLock } from './build-lock.ts';

async function lockFile(stack: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'citb-lock-'));
  stack.defer(() => rm(folder, { recursive: true }));
  return join(folder, 'build.lock');
}

test('the second waits, says so, and comes when the first is done', async () => {
  await using stack = new AsyncDisposableStack();
  const file = await lockFile(stack);
  const first = await buildLock(file, () => assert.fail('nobody holds it'));
  let released = false;
  const waiting = Promise.withResolvers<void>();
  const second = buildLock(file, waiting.resolve).then((lock) => {
    assert.ok(released, 'both hold it');
    return lock;
  });
  await waiting.promise;
  released = true;
  await first[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
});

test('a holder that is killed holds it no longer', async () => {
  await using stack = new AsyncDisposableStack();
  const file = await lockFile(stack);
  const module = new URL('build-lock.ts', import.meta.url).href;
  const script = `const { buildLock } = await import('${module}'); await buildLock('${file}', () => {}); console.log('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  holder.kill('SIGKILL');
  await (await buildLock(file, () => undefined))[Symbol.asyncDispose]();
});

test('a folder that is not there is told in words', async () => {
  await assert.rejects(
    buildLock('/nonexistent/build.lock', () => undefined),
    /cannot be taken/,
  );
});
