import { z } from 'zod';
import { box, boxCreate, boxList, boxListQuery, logLine, logsQuery } from '../v1.ts';
import { boxParams, idempotencyHeaders } from './params.ts';
import { json, mediaTypes, route } from './route.ts';

export const createBox = route({
  method: 'post',
  path: '/v1/boxes',
  operationId: 'createBox',
  tag: 'boxes',
  summary: 'Create a box',
  description:
    'Answers when the box is ready: 201 for a new one, 200 when the user has one already.\n\n' +
    'An Idempotency-Key is remembered for a day: the same key and request again answers as the first did, and never makes a second ' +
    'box. When the box of the key was killed meanwhile the answer is box_killed (409), not the address of a box that is gone.',
  headers: z.object(idempotencyHeaders),
  json: boxCreate,
  answers: {
    201: json(box, 'Created.', { Location: 'Address of the box.' }),
    200: json(box, 'It exists already.', { Location: 'Address of the box.' }),
  },
  errors: [
    'unknown_runtime',
    'box_exists',
    'box_killed',
    'runtime_conflict',
    'idempotency_conflict',
    'host_full',
    'host_disk_full',
    'image_failed',
    'box_failed',
  ],
  curl: `curl "$SANDBOX/v1/boxes" -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -H "Idempotency-Key: $(uuidgen)" \\
  -d '{"runtime": "python", "labels": {"team": "data"}, "memory_mib": 512, "timeout_s": 3600}'`,
});

export const listBoxes = route({
  method: 'get',
  path: '/v1/boxes',
  operationId: 'listBoxes',
  tag: 'boxes',
  summary: 'List boxes',
  description: 'A page at a time, oldest first: cursor is next of the page before.',
  query: boxListQuery,
  answers: { 200: json(boxList, 'One page.') },
  errors: [],
  curl: `curl "$SANDBOX/v1/boxes?label=team=data&limit=50" -H "X-API-Key: $API_KEY"`,
});

export const getBox = route({
  method: 'get',
  path: '/v1/boxes/{box}',
  operationId: 'getBox',
  tag: 'boxes',
  summary: 'Get a box',
  params: boxParams,
  answers: { 200: json(box, 'The box.') },
  errors: ['box_not_found'],
});

export const killBox = route({
  method: 'delete',
  path: '/v1/boxes/{box}',
  operationId: 'killBox',
  tag: 'boxes',
  summary: 'Kill a box',
  description: 'Answers when nothing of it is left: machine, disk and conversations.',
  params: boxParams,
  answers: { 204: { description: 'It is gone.' } },
  errors: ['box_not_found', 'box_busy'],
  curl: `curl -X DELETE "$SANDBOX/v1/boxes/$BOX" -H "X-API-Key: $API_KEY"`,
});

export const boxLogs = route({
  method: 'get',
  path: '/v1/boxes/{box}/logs',
  operationId: 'boxLogs',
  tag: 'boxes',
  summary: 'Read or follow the log of a box',
  description: 'The console of its machine and what the host says of it. As NDJSON, as server-sent events, or as text, by Accept.',
  params: boxParams,
  query: logsQuery,
  answers: {
    200: {
      description: 'Lines of the log.',
      content: { [mediaTypes.ndjson]: logLine, [mediaTypes.sse]: logLine, 'text/plain': z.string() },
    },
  },
  errors: ['box_not_found'],
  curl: `curl -N "$SANDBOX/v1/boxes/$BOX/logs?follow=true&tail=100" \\
  -H "X-API-Key: $API_KEY" -H "Accept: text/plain"`,
});
