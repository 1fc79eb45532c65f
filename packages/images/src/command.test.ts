import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from './command.ts';
import { ImageError } from './image-error.ts';

test('a step answers what it printed, and tells each line as it comes', async () => {
  const lines: string[] = [];
  const output = await run('It failed', 'sh', ['-c', 'echo one; echo two >&2; echo $GIVEN'], {
    env: { GIVEN: 'three' },
    onLine: (line) => lines.push(line),
  });
  assert.deepEqual(output.split('\n').toSorted(), ['one', 'three', 'two']);
  assert.deepEqual(lines.toSorted(), ['one', 'three', 'two']);
});

test('a failed step tells what failed and its last lines', async () => {
  const failed = run('The cake could not be baked', 'sh', ['-c', 'for i in $(seq 100); do echo line $i; done; exit 3']);
  await assert.rejects(failed, (error: ImageError) => {
    assert.ok(error instanceof ImageError);
    assert.match(error.message, /The cake could not be baked: sh ended with 3/);
    assert.equal(error.output.at(-1), 'line 100');
    assert.ok(error.output.length < 30);
    return true;
  });
});

test('a missing program is told with the package that brings it', async () => {
  await assert.rejects(run('It failed', 'mkfs.nosuch', []), (error: ImageError) => /apt-get install .*mkfs.nosuch/.test(error.hint));
});

test('a full disk and a lost network are told as such', async () => {
  await assert.rejects(run('It failed', 'sh', ['-c', 'echo write: No space left on device; exit 1']), /The disk is full/);
  await assert.rejects(run('It failed', 'sh', ['-c', 'echo Temporary failure resolving; exit 1']), /network or a package archive/);
});
