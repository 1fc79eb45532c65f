import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { patience } from './harness.ts';

test('the benchmark still measures what is compared with QEMU alone, whatever comes out', { timeout: 3 * patience }, async () => {
  const main = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
  const args = ['--only', 'create,sleep', '--runtimes', 'bash', '--samples', '1'];
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args]);
  for (const row of [/bash: create, p50 .* faster/, /QEMU alone, .* x/, /wake/]) assert.match(stdout, row);
});
