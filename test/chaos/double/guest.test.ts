import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Process } from '@citb/api/gen/process_pb.js';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { commands } from '../commands.ts';
import { respawnMs, serve } from './guest.ts';

const token = 'token';
const headers = { 'x-access-token': token };

/** A box of the double in this process. @returns the addresses of envd and the agent server */
async function box(t: TestContext): Promise<{ envd: string; agent: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'citb-double-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'disk.img'), '');
  truncateSync(join(folder, 'disk.img'), 1 << 20);
  const accepts = new Map<number, (socket: Socket) => void>();
  const servers = [1, 2].map((port) => createServer((socket) => accepts.get(port)?.(socket)).listen(0, '127.0.0.1'));
  t.after(() => servers.forEach((server) => server.close()));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  serve({
    folder,
    ports: [1, 2],
    brokerSocket: undefined,
    memory: { token },
    listen: (port, accept) => void accepts.set(port, accept),
    print: () => undefined,
    onPowerButton: () => undefined,
    powerOff: () => undefined,
  });
  const [envd = '', agent = ''] = servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return { envd, agent };
}

test('an agent server that is killed while it is dead is started once', async (t) => {
  const { envd, agent } = await box(t);
  const processes = createClient(Process, createConnectTransport({ baseUrl: envd, httpVersion: '1.1' }));
  const kill = async (): Promise<void> => {
    const output = processes.start({ process: { cmd: 'sh', args: ['-c', commands.killAgent] } }, { headers });
    for await (const { event } of output) assert.notEqual(event, undefined);
  };
  const task = (): Promise<Response | undefined> => {
    // Its model says nothing for an hour, so that only the agent itself can end it.
    const body = JSON.stringify({ id: 'task_1', prompt: 'words=1 ms=3600000', files: {} });
    return fetch(`${agent}/tasks`, { method: 'POST', headers, body }).catch(() => undefined);
  };
  await kill();
  await sleep(respawnMs / 2);
  await kill();
  while ((await task())?.status !== 202) await sleep(10);
  await sleep(2 * respawnMs);
  assert.match(await (await fetch(`${agent}/tasks/task_1`, { headers })).text(), /"running"/);
  // Or its model would hold this process for the hour.
  await kill();
});
