import { z } from 'zod';
import { hostStatus } from '../classic.ts';
import { json, route } from './route.ts';

export const statusV1 = route({
  method: 'get',
  path: '/v1/status',
  operationId: 'statusV1',
  tag: 'host',
  summary: 'The host, its capacity and its boxes',
  description: 'The same as GET /status.',
  answers: { 200: json(hostStatus, 'What runs here.') },
  errors: [],
});

export const openapi = route({
  method: 'get',
  path: '/openapi.json',
  operationId: 'openapi',
  tag: 'host',
  summary: 'This API as OpenAPI 3.1',
  public: true,
  answers: { 200: json(z.looseObject({ openapi: z.string() }), 'The document.') },
  errors: [],
});

export const home = route({
  method: 'get',
  path: '/',
  operationId: 'home',
  tag: 'host',
  summary: 'The way to /docs',
  description: 'For a person who opens the address of the host in a browser.',
  public: true,
  answers: { 302: { description: 'Go to /docs.' } },
  errors: [],
});

export const docs = route({
  method: 'get',
  path: '/docs',
  operationId: 'docs',
  tag: 'host',
  summary: 'This API as a page to read',
  public: true,
  answers: { 200: { description: 'The page.', content: { 'text/html': z.string() } } },
  errors: [],
});
