import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { errorTable } from './errors.ts';
import { openApiDocument } from './openapi.ts';
import * as routes from './routes/index.ts';

const { allRoutes } = routes;

const document = openApiDocument('1.2.3');

test('the document is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(document) as object as Parameters<Validator['validate']>[0]);
  assert.equal(result.valid, true, JSON.stringify(result.errors)?.slice(0, 5000));
  assert.equal(document.openapi, '3.1.0');
});

test('every reference leads somewhere', () => {
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
    assert.ok(Object.hasOwn(document.components?.schemas ?? {}, name as string), `${name} is not there`);
});

test('every declared route is in the list', () => {
  const declared = Object.values(routes)
    .filter((group) => typeof group === 'object' && Object.prototype.toString.call(group) === '[object Module]')
    .flatMap((group) => Object.values(group as Record<string, unknown>));
  assert.deepEqual(new Set(declared), new Set(allRoutes));
});

test('answers may grow: their schemas do not forbid more fields', () => {
  for (const name of ['Box', 'FileChange', 'Health']) {
    const schema = document.components?.schemas?.[name];
    assert.ok(typeof schema === 'object' && !('additionalProperties' in schema), name);
  }
});

test('names of operations are unique', () => {
  const names = allRoutes.map((spec) => spec.operationId);
  assert.deepEqual(names, [...new Set(names)]);
});

test('every route documents its answers, its errors and its parameters', () => {
  for (const spec of allRoutes) {
    const operation = document.paths?.[spec.path]?.[spec.method];
    for (const status of Object.keys(spec.answers)) assert.ok(operation?.responses?.[status], `${spec.path} ${status}`);
    for (const code of spec.errors)
      assert.match(String(operation?.responses?.[errorTable[code].status]?.description), new RegExp(`\\b${code}\\b`));
    const inPath = [...spec.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    assert.deepEqual(Object.keys(spec.params?.shape ?? {}), inPath, spec.path);
  }
});
