import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { agentCheckpointPath, ApiError } from '@citb/api';
import { createLog } from '@citb/daemon';
import { Store } from '../store.ts';
import { createBroker } from './broker.ts';
import { createLedger } from './ledger.ts';

test('a box may ask for a checkpoint of itself; what it sends is bounded and its words are made harmless', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'citb-own-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const asked: [string, string][] = [];
  const broker = createBroker({
    baseUrl: 'http://127.0.0.1:1',
    keys: { forBox: () => undefined },
    ledger: createLedger(new Store(':memory:')),
    log: createLog('test', 'silent'),
    own: {
      checkpoint: async (boxId, name) => {
        asked.push([boxId, name]);
        if (name === 'again') throw new ApiError('box_busy', 'A checkpoint was made just now.');
        if (name === 'broken') throw new Error('secret detail');
        return { id: 'ckp_1', name };
      },
    },
  });
  const socketPath = join(folder, 'b.sock');
  await broker.open('mine', socketPath);
  stack.defer(() => broker.closeAll());
  const ask = async (body: string, path: string = agentCheckpointPath, method = 'POST'): Promise<{ status: number; body: string }> => {
    const request = httpRequest({ socketPath, method, path, agent: false });
    request.on('error', () => undefined);
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { status: response.statusCode ?? 0, body: await text(response) };
  };

  const made = await ask(JSON.stringify({ name: ' before\u001B[31m the \u202Emigration\n', box: 'another' }));
  assert.deepEqual([made.status, JSON.parse(made.body)], [200, { id: 'ckp_1', name: 'before the migration' }]);
  assert.deepEqual(asked, [['mine', 'before the migration']]);
  for (const body of [
    '',
    '{',
    '[]',
    '{"name":7}',
    JSON.stringify({ name: 'x'.repeat(201) }),
    JSON.stringify({ name: '', more: 'x'.repeat(10_000) }),
  ])
    assert.equal((await ask(body)).status, 400, body.slice(0, 30));
  const busy = await ask('{"name":"again"}');
  assert.deepEqual(
    [busy.status, (JSON.parse(busy.body) as { error: { message: string } }).error.message],
    [409, 'A checkpoint was made just now.'],
  );
  const broken = await ask('{"name":"broken"}');
  assert.equal(broken.status, 500);
  assert.doesNotMatch(broken.body, /secret/);
  assert.equal((await ask('{"name":"a"}', `${agentCheckpointPath}?box=b`)).status, 403);
  assert.equal((await ask('{"name":"a"}', '/citb/v1/anything')).status, 403);
  assert.equal((await ask('', agentCheckpointPath, 'GET')).status, 403);
});
