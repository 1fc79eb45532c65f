import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allRoutes } from '@citb/api/routes/index.ts';
import { testClient } from '@citb/testkit/services/index.ts';
import { honoPath } from './register.ts';

test('every registered route is in the document, and the other way round', async (t) => {
  const { server, url } = await testClient(t);
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, Record<string, unknown>> };
  const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${honoPath(path)}`),
  );
  const registered = server.app.routes.filter((route) => route.method !== 'ALL').map((route) => `${route.method} ${route.path}`);
  assert.deepEqual(registered.toSorted(), documented.toSorted());
  assert.equal(documented.length, allRoutes.length);
});

test('/v1/status is the host’s status', async (t) => {
  const { call } = await testClient(t);
  const status = (await (await call('GET', '/v1/status')).json()) as { host: { vmm: string } };
  assert.equal(status.host.vmm, 'double');
});

test('/docs is one page without scripts or anything from elsewhere', async (t) => {
  const { url } = await testClient(t);
  const response = await fetch(`${url}/docs`);
  assert.match(response.headers.get('content-type') ?? '', /^text\/html/);
  const page = await response.text();
  assert.ok(!/<script|<link|<img|<iframe|@import|url\(| on\w+=| src=/i.test(page));
  for (const [, target] of page.matchAll(/href="([^"]*)"/g)) assert.match(target as string, /^(#|\/openapi\.json$)/);
  for (const spec of allRoutes) assert.ok(page.includes(`id="${spec.operationId}"`), spec.operationId);
  for (const [, target] of page.matchAll(/href="#([^"]*)"/g)) assert.ok(page.includes(`id="${target}"`), `#${target}`);
});
