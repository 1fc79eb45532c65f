import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import { initialise, token } from './testbed.ts';

interface Place {
  readonly port: number;
  readonly url: string;
  readonly env: NodeJS.ProcessEnv;
}

async function place(t: TestContext): Promise<Place> {
  const base = await mkdtemp(join(tmpdir(), 'citb-envd-main-'));
  t.after(() => rm(base, { recursive: true, force: true }));
  mkdirSync(join(base, 'workspace'));
  const port = await freePort();
  const env = {
    ...process.env,
    CITB_ENVD_PORT: String(port),
    CITB_ENVD_HOST: '127.0.0.1',
    CITB_ENVD_MACHINE: 'untouched',
    CITB_LOG_LEVEL: 'silent',
  };
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    env: { ...env, CITB_WORKSPACE: join(base, 'workspace'), CITB_RUN_DIR: join(base, 'run') },
  };
}

/** envd's port must be known before it starts; the system does not give this one out again so soon. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function started(t: TestContext, { env, url }: Place): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], { env, stdio: 'inherit' });
  t.after(() => child.kill('SIGKILL'));
  for (let waited = 0; waited < 60_000; waited += 50) {
    if (
      await fetch(`${url}/health`)
        .then(({ status }) => status === 204)
        .catch(() => false)
    )
      return child;
    await sleep(50);
  }
  throw new Error('envd did not start');
}

test('an envd that was killed knows its box again when init starts it', { timeout: 150_000 }, async (t) => {
  const where = await place(t);
  const first = await started(t, where);
  assert.equal((await initialise(where.url)).status, 204);
  first.kill('SIGKILL');
  await once(first, 'exit');
  const second = await started(t, where);
  assert.equal((await initialise(where.url, { accessToken: 'x'.repeat(40) })).status, 401);
  const envs = await fetch(`${where.url}/envs`, { headers: { 'X-Access-Token': token } });
  assert.deepEqual(await envs.json(), { FROM_INIT: 'yes' });
  second.kill('SIGTERM');
  assert.deepEqual(await once(second, 'exit'), [0, null]);
});

test('an envd that cannot listen ends with a failure, so that init starts it again', { timeout: 60_000 }, async (t) => {
  const where = await place(t);
  const taken = createServer().listen(where.port, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], { env: where.env, stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  assert.deepEqual(await once(child, 'exit'), [1, null]);
});
