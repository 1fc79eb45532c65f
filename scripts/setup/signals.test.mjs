import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';

const project = new URL('../../', import.meta.url).pathname;
const command = `
setInterval(() => {}, 1000);
process.on('SIGTERM', () => { console.log('told to end'); process.exit(); });
console.log('at work');
`;

test('who ends npm ends the command: a shell between them would leave it running', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'citb-npm-'));
  try {
    await cp(join(project, 'package.json'), join(folder, 'package.json'));
    await mkdir(join(folder, 'scripts'));
    await writeFile(join(folder, 'scripts/run.mjs'), command);
    const npm = spawn('npm', ['run', 'host'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
    const out = text(npm.stdout);
    let seen = '';
    npm.stdout.on('data', (chunk) => {
      seen += chunk;
      if (seen.includes('at work')) npm.kill('SIGTERM');
    });
    await once(npm, 'exit');
    assert.match(await out, /told to end/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
