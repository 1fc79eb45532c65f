import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Box, BoxImport } from '@citb/api';
import { refused, testClient } from '@citb/testkit/services/index.ts';

test('an import comes in pieces: each answers where the next one begins, and what begins elsewhere is refused', async (t) => {
  const { call, services } = await testClient(t);
  const put = (id: string, offset: number, body: string): Promise<Response> =>
    call('PUT', `/v1/imports/${id}?offset=${offset}`, { body, headers: { 'Content-Type': 'application/vnd.citb.box+tar' } });
  const begun = await call('POST', '/v1/imports');
  assert.equal(begun.status, 201);
  const { id, offset, expires } = (await begun.json()) as BoxImport;
  assert.equal(begun.headers.get('location'), `/v1/imports/${id}`);
  assert.equal(offset, 0);
  assert.ok(Date.parse(expires) > Date.now());
  assert.equal(((await (await put(id, 0, 'box py')).json()) as BoxImport).offset, 6);
  await refused(await put(id, 0, 'box py'), 'import_offset');
  await refused(await put(id, -1, ''), 'invalid_request');
  await refused(await call('PUT', `/v1/imports/${id}`, { body: 'x' }), 'invalid_request');
  assert.equal(((await (await call('GET', `/v1/imports/${id}`)).json()) as BoxImport).offset, 6);
  assert.equal((await put(id, 6, 'thon\n')).status, 200);
  const finished = await call('POST', `/v1/imports/${id}/finish`, { json: { user_id: 'ada', env_vars: { COLOUR: 'red' } } });
  assert.equal(finished.status, 201);
  const box = (await finished.json()) as Box;
  assert.equal(finished.headers.get('location'), `/v1/boxes/${box.id}`);
  assert.deepEqual([box.user_id, box.runtime, services.boxes.lastRequest?.envVars], ['ada', 'python', { COLOUR: 'red' }]);
});

test('an import that is given up is gone; ids that cannot be are not found', async (t) => {
  const { call } = await testClient(t);
  const { id } = (await (await call('POST', '/v1/imports')).json()) as BoxImport;
  assert.equal((await call('DELETE', `/v1/imports/${id}`)).status, 204);
  for (const other of [id, 'imp_zzzzzzzzzzzz', 'nonsense', '..%2f..%2fetc']) {
    await refused(await call('GET', `/v1/imports/${other}`), 'import_not_found');
    await refused(await call('PUT', `/v1/imports/${other}?offset=0`, { body: 'x' }), 'import_not_found');
    await refused(await call('POST', `/v1/imports/${other}/finish`, { json: {} }), 'import_not_found');
    await refused(await call('DELETE', `/v1/imports/${other}`), 'import_not_found');
  }
});
