import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Filesystem } from '@citb/api/gen/filesystem_pb.js';
import { Process } from '@citb/api/gen/process_pb.js';
import { createLog } from '@citb/daemon';
import { type Client, type Interceptor, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { type Machine, untouchedMachine } from './machine.ts';
import { createEnvd } from './server.ts';
import { systemUsers } from './users.ts';

export const token = 'test-token-0123456789abcdef0123456789';

/** For tests: a real envd on a free port of loopback, with a workspace of its own. */
export interface Testbed {
  readonly url: string;
  readonly base: string;
  readonly workspace: string;
  readonly home: string;
  readonly runFolder: string;
  readonly processes: Client<typeof Process>;
  readonly files: Client<typeof Filesystem>;
  /** fetch with the token. */
  readonly request: (path: string, init?: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> }) => Promise<Response>;
}

/** In place of `receive.c`, which is built for guests only. */
export const receiverDouble = [process.execPath, fileURLToPath(new URL('receive.double.ts', import.meta.url))] as const;

/** Whether tests can have processes and files of another user. */
export const isRoot = process.getuid?.() === 0;

/** @param options `initialised`: the first /init has been (default); `machine`: in place of one that is left as it is */
export async function testbed(t: TestContext, options: { initialised?: boolean; machine?: Partial<Machine> } = {}): Promise<Testbed> {
  const base = await mkdtemp(join(tmpdir(), 'citb-envd-'));
  await chmod(base, 0o755);
  const [workspace, runFolder, home] = [join(base, 'workspace'), join(base, 'run'), join(base, 'home')];
  for (const folder of [workspace, home]) mkdirSync(folder);
  const { uid, gid } = isRoot ? { uid: 1000, gid: 1000 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  if (isRoot) for (const folder of [workspace, home]) chownSync(folder, uid, gid);
  const passwd = join(base, 'passwd');
  writeFileSync(passwd, `root:x:0:0:root:/root:/bin/sh\nuser:x:${uid}:${gid}::${home}:/bin/sh\n`);
  const envd = await createEnvd({
    workspace,
    runFolder,
    machine: { ...untouchedMachine, ...options.machine },
    users: systemUsers(passwd),
    log: createLog('envd', 'silent'),
    root: isRoot,
    receiver: receiverDouble,
  });
  const url = `http://127.0.0.1:${await envd.listen(0, '127.0.0.1')}`;
  t.after(async () => {
    await envd.close();
    await rm(base, { recursive: true, force: true });
  });
  if (options.initialised !== false) await initialise(url);
  const transport = createConnectTransport({ baseUrl: url, httpVersion: '1.1', useBinaryFormat: true, interceptors: [withToken] });
  return {
    url,
    base,
    workspace,
    home,
    runFolder,
    processes: createClient(Process, transport),
    files: createClient(Filesystem, transport),
    request: (path, { headers = {}, ...init } = {}) => fetch(url + path, { ...init, headers: { 'X-Access-Token': token, ...headers } }),
  };
}

export async function initialise(url: string, body: object = {}, header?: string): Promise<Response> {
  return fetch(`${url}/init`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...(header === undefined ? {} : { 'X-Access-Token': header }) },
    body: JSON.stringify({ accessToken: token, envVars: { FROM_INIT: 'yes' }, ...body }),
  });
}

const withToken: Interceptor = (next) => (request) => {
  request.header.set('X-Access-Token', token);
  return next(request);
};
