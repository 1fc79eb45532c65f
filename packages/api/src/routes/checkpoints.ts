import { z } from 'zod';
import { boxFork, checkpoint, checkpointCreate, checkpointList } from '../checkpoints.ts';
import { box } from '../v1.ts';
import { boxParams, checkpointParams, idempotencyHeaders } from './params.ts';
import { json, route } from './route.ts';

export const createCheckpoint = route({
  method: 'post',
  path: '/v1/boxes/{box}/checkpoints',
  operationId: 'createCheckpoint',
  tag: 'checkpoints',
  summary: 'Make a checkpoint of a box',
  description:
    'Its disk, and with it the memory of its machine, as of one moment. The processors of a running box stand while it is made; ' +
    'a paused or stopped box is not woken.',
  params: boxParams,
  json: checkpointCreate,
  answers: { 201: json(checkpoint, 'Made.') },
  errors: ['box_not_found', 'checkpoint_limit', 'host_disk_full', 'box_unreachable'],
  curl: `curl "$SANDBOX/v1/boxes/$BOX/checkpoints" -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -d '{"name": "before the migration"}'`,
});

export const listCheckpoints = route({
  method: 'get',
  path: '/v1/boxes/{box}/checkpoints',
  operationId: 'listCheckpoints',
  tag: 'checkpoints',
  summary: 'List the checkpoints of a box',
  description: 'Oldest first. Those of kind auto were made by the host before tasks.',
  params: boxParams,
  answers: { 200: json(checkpointList, 'All of them.') },
  errors: ['box_not_found'],
});

export const restoreCheckpoint = route({
  method: 'post',
  path: '/v1/boxes/{box}/checkpoints/{checkpoint}/restore',
  operationId: 'restoreCheckpoint',
  tag: 'checkpoints',
  summary: 'Roll a box back to a checkpoint',
  description:
    'Files, conversation and, with memory, processes are then as they were; the present state is given up. Tasks that run end as ' +
    'interrupted. A checkpoint without memory boots the box.',
  params: checkpointParams,
  answers: { 200: json(box, 'It runs from there.') },
  errors: ['box_not_found', 'checkpoint_not_found', 'host_full', 'host_disk_full', 'box_failed'],
  curl: `curl -X POST "$SANDBOX/v1/boxes/$BOX/checkpoints/$CHECKPOINT/restore" -H "X-API-Key: $API_KEY"`,
});

export const deleteCheckpoint = route({
  method: 'delete',
  path: '/v1/boxes/{box}/checkpoints/{checkpoint}',
  operationId: 'deleteCheckpoint',
  tag: 'checkpoints',
  summary: 'Delete a checkpoint',
  params: checkpointParams,
  answers: { 204: { description: 'It is gone.' } },
  errors: ['box_not_found', 'checkpoint_not_found'],
});

export const forkBox = route({
  method: 'post',
  path: '/v1/boxes/{box}/fork',
  operationId: 'forkBox',
  tag: 'checkpoints',
  summary: 'Fork a box',
  description:
    'A new box that is the source in all: machine, disk, running processes, agent and conversation. From then on neither knows of the ' +
    'other. A task that runs goes on in the source alone. A source that is paused or stopped is not woken.',
  params: boxParams,
  headers: z.object(idempotencyHeaders),
  json: boxFork,
  answers: { 201: json(box, 'It answers.', { Location: 'Address of the fork.' }) },
  errors: [
    'box_not_found',
    'box_exists',
    'checkpoint_not_found',
    'idempotency_conflict',
    'host_full',
    'host_disk_full',
    'image_failed',
    'box_failed',
    'box_unreachable',
  ],
  curl: `curl "$SANDBOX/v1/boxes/$BOX/fork" -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -d '{"user_id": "ada-experiment"}'`,
});
