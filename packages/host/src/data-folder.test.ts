import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DataFolderInUse, takeDataFolder } from './data-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'citb-lock-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('one daemon a data directory: the second is told who has it, and a killed one leaves no lock behind', async () => {
  const module = new URL('./data-folder.ts', import.meta.url).href;
  const script = `const { takeDataFolder } = await import(${JSON.stringify(module)});
    takeDataFolder(${JSON.stringify(folder)}).announce('http://127.0.0.1:1');
    globalThis.gc(); console.log('taken'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'host.json'), 'utf8')), { url: 'http://127.0.0.1:1', pid: child.pid });
  assert.throws(
    () => takeDataFolder(folder),
    (error: unknown) =>
      error instanceof DataFolderInUse && error.message.includes(`process ${child.pid}`) && error.message.includes('CITB_DATA_DIR'),
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  const mine = takeDataFolder(folder);
  assert.equal(existsSync(join(folder, 'host.json')), false, 'the address of the dead daemon is gone');
  mine.release();
  takeDataFolder(folder).release();
});
