import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { guestInit, guestMetrics, processListing } from '@citb/api';
import { createLog } from '@citb/daemon';
import { untouchedMachine } from './machine.ts';
import { createEnvd } from './server.ts';
import { Session } from './session.ts';
import { initialise, isRoot, receiverDouble, testbed, token } from './testbed.ts';
import { systemUsers } from './users.ts';

test('before the first /init nothing answers but /health', async (t) => {
  const { url, request, processes, runFolder } = await testbed(t, { initialised: false });
  assert.equal((await fetch(`${url}/health`)).status, 204);
  for (const path of ['/envs', '/files?path=/etc/passwd', '/workspace/list', '/processes', '/metrics', '/nothing']) {
    assert.equal((await request(path)).status, 401, path);
    assert.equal((await fetch(url + path)).status, 401, path);
  }
  await assert.rejects(processes.list({}), /unauthenticated/);
  assert.equal(
    (await initialise(url, { identity: { boxId: 'b', hostname: 'h', machineId: '0'.repeat(32) }, entropy: 'AAAA' })).status,
    204,
  );
  const kept = guestInit.parse(JSON.parse(readFileSync(join(runFolder, 'init.json'), 'utf8')));
  assert.deepEqual([kept.accessToken, kept.identity?.boxId, kept.entropy], [token, 'b', undefined]);
  assert.equal(statSync(join(runFolder, 'init.json')).mode & 0o777, 0o640);
  if (isRoot) assert.deepEqual([statSync(join(runFolder, 'init.json')).gid, statSync(runFolder).mode & 0o777], [1000, 0o750]);
  assert.deepEqual(await (await request('/envs')).json(), { FROM_INIT: 'yes' });
});

test('who is first takes the box; who has the token may give it another', async (t) => {
  const { url, request } = await testbed(t);
  const other = 'other-token-0123456789abcdef01234567';
  assert.equal((await initialise(url, { accessToken: other })).status, 401);
  assert.equal((await initialise(url, { accessToken: other }, other)).status, 401);
  assert.equal((await request('/envs')).status, 200);
  assert.equal((await initialise(url, { accessToken: other }, token)).status, 204);
  assert.equal((await request('/envs')).status, 401);
  assert.equal((await request('/envs', { headers: { 'X-Access-Token': other } })).status, 200);
});

test('connections are reset when a machine goes on as another incarnation, and only then', async (t) => {
  let resets = 0;
  const { url } = await testbed(t, { initialised: false, machine: { resetConnections: async () => (resets += 1) } });
  const seen: number[] = [];
  for (const lifecycleID of ['run_a', 'run_a', 'run_b', 'run_b', 'run_c']) {
    assert.equal((await initialise(url, { lifecycleID }, token)).status, 204);
    seen.push(resets);
  }
  assert.deepEqual(seen, [0, 0, 1, 1, 2]);
});

test('a machine that had no connections has none to look for', async (t) => {
  let resets = 0;
  const { url } = await testbed(t, { initialised: false, machine: { resetConnections: async () => (resets += 1) } });
  assert.equal((await initialise(url, { lifecycleID: 'run_a' })).status, 204);
  assert.equal((await initialise(url, { lifecycleID: 'run_b', openConnections: 0 }, token)).status, 204);
  assert.equal(resets, 0);
  assert.equal((await initialise(url, { lifecycleID: 'run_c', openConnections: 1 }, token)).status, 204);
  assert.equal(resets, 1);
});

test('of many first calls at once one takes the box', async (t) => {
  const { url } = await testbed(t, { initialised: false });
  const tokens = Array.from({ length: 8 }, (_, index) => `token-${index}-${'x'.repeat(32)}`);
  const statuses = await Promise.all(tokens.map(async (accessToken) => (await initialise(url, { accessToken })).status));
  assert.equal(statuses.filter((status) => status === 204).length, 1);
  assert.equal(statuses.filter((status) => status === 401).length, 7);
  const winner = tokens[statuses.indexOf(204)] ?? '';
  assert.equal((await fetch(`${url}/envs`, { headers: { 'X-Access-Token': winner } })).status, 200);
});

test('a bad /init is refused with the field named', async (t) => {
  const { url } = await testbed(t, { initialised: false });
  for (const body of [{ accessToken: 'short' }, { timestamp: 'yesterday' }, { envVars: { A: 1 } }, { entropy: '%%' }]) {
    const answer = await initialise(url, body);
    assert.equal(answer.status, 422);
    assert.match(await answer.text(), new RegExp(Object.keys(body)[0] ?? ''));
  }
  assert.equal((await fetch(`${url}/init`, { method: 'POST', body: '{' })).status, 400);
  assert.equal((await initialise(url)).status, 204);
});

test('after a restart the box is still taken', async (t) => {
  const { runFolder } = await testbed(t);
  const session = new Session({ folder: runFolder });
  await session.load();
  assert.equal(session.admits(token), true);
  assert.equal(session.admits('no'), false);
  writeFileSync(join(runFolder, 'init.json'), '{"broken');
  const broken = new Session({ folder: runFolder });
  await broken.load();
  assert.equal(broken.init, undefined);
});

test('an envd that starts again gives the machine the identity that it may not have got', async (t) => {
  const { runFolder, workspace, url } = await testbed(t);
  const identity = { boxId: 'b', hostname: 'h', machineId: '0'.repeat(32) };
  assert.equal((await initialise(url, { identity }, token)).status, 204);
  const seen: unknown[] = [];
  const machine = { ...untouchedMachine, setIdentity: (given: unknown): void => void seen.push(given) };
  const again = await createEnvd({
    workspace,
    runFolder,
    machine,
    users: systemUsers(),
    log: createLog('envd', 'silent'),
    root: isRoot,
    receiver: receiverDouble,
  });
  await again.close();
  assert.deepEqual(seen, [identity]);
});

test('metrics and processes are what the contract says', async (t) => {
  const { request } = await testbed(t);
  const metrics = guestMetrics.parse(await (await request('/metrics')).json());
  assert.ok(metrics.mem_total > metrics.mem_used && metrics.disk_total >= metrics.disk_used && metrics.cpu_count >= 1);
  const { processes } = processListing.parse(await (await request('/processes')).json());
  const own = processes.find(({ pid }) => pid === process.pid);
  assert.ok(own !== undefined);
  assert.equal(own.ppid, process.ppid);
  assert.ok(own.memory_bytes > 10_000_000);
  assert.match(own.command, /node/);
  assert.ok(Math.abs(Date.parse(own.started) - (Date.now() - process.uptime() * 1000)) < 5000);
});
