import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { expendable } from './expendable.ts';

test('the protection is off while a program is started, and back afterwards', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'citb-score-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'oom_score_adj');
  for (const [before, during] of [
    ['-900\n', '0'],
    ['100\n', '100\n'],
  ] as const) {
    writeFileSync(file, before);
    assert.equal(
      expendable(() => readFileSync(file, 'utf8'), file),
      during,
    );
    assert.equal(readFileSync(file, 'utf8').trim(), before.trim());
  }
  writeFileSync(file, '-900');
  assert.throws(() => expendable(() => assert.fail('not started'), file));
  assert.equal(readFileSync(file, 'utf8'), '-900');
});
