import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openStore } from './open-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'citb-store-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('nobody else on the machine can read the database', () => {
  const store = openStore(folder);
  for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
  store.close();
});

test('a lost or damaged database is told in words, and nothing is changed', () => {
  openStore(folder).close();
  const path = join(folder, 'host.db');
  rmSync(path);
  mkdirSync(join(folder, 'boxes', 'box_1'), { recursive: true });
  assert.throws(() => openStore(folder), /is missing, but .* holds the disks of boxes/);
  writeFileSync(path, 'this is no database, and was one once'.repeat(100));
  const before = readFileSync(path);
  assert.throws(() => openStore(folder), /cannot be used: .*Nothing was changed/);
  assert.deepEqual(readFileSync(path), before);
});
