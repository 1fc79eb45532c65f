import { z } from 'zod';
import { answerRequest } from '../guest.ts';
import { eventsQuery, pageQuery, task, taskCreate, taskCreateQuery, taskList, taskStreamLine } from '../v1.ts';
import { boxParams, idempotencyHeaders, lastEventHeaders, modelKeyHeaders, questionParams, taskParams } from './params.ts';
import { json, mediaTypes, route, stream } from './route.ts';

export const createTask = route({
  method: 'post',
  path: '/v1/boxes/{box}/tasks',
  operationId: 'createTask',
  tag: 'tasks',
  summary: 'Start a task',
  description:
    'Answers when the task is safely recorded. With ?stream=true, or Accept: application/x-ndjson or text/event-stream, the answer is the ' +
    'stream of its events, as from GET …/events; a client that leaves does not stop the task.',
  params: boxParams,
  query: taskCreateQuery,
  headers: z.object({ ...idempotencyHeaders, ...modelKeyHeaders }),
  json: taskCreate,
  answers: {
    201: {
      description: 'Recorded.',
      content: { [mediaTypes.json]: task, [mediaTypes.ndjson]: taskStreamLine, [mediaTypes.sse]: taskStreamLine },
      headers: { Location: 'Address of the task.', 'X-Task-Id': 'Id of the task.' },
    },
  },
  errors: [
    'invalid_path',
    'box_not_found',
    'no_agent',
    'no_model_key',
    'queue_full',
    'idempotency_conflict',
    'disk_full',
    'box_failed',
    'box_unreachable',
  ],
  curl: `curl -N "$SANDBOX/v1/boxes/$BOX/tasks?stream=true" \\
  -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -d '{"prompt": "Write a haiku about disks into haiku.txt", "max_turns": 20}'`,
});

export const listTasks = route({
  method: 'get',
  path: '/v1/boxes/{box}/tasks',
  operationId: 'listTasks',
  tag: 'tasks',
  summary: 'List the tasks of a box',
  description: 'A page at a time, newest first.',
  params: boxParams,
  query: pageQuery,
  answers: { 200: json(taskList, 'One page.') },
  errors: ['box_not_found'],
});

export const getTask = route({
  method: 'get',
  path: '/v1/boxes/{box}/tasks/{task}',
  operationId: 'getTask',
  tag: 'tasks',
  summary: 'Get a task',
  params: taskParams,
  answers: { 200: json(task, 'The task.') },
  errors: ['box_not_found', 'task_not_found'],
});

export const cancelTask = route({
  method: 'post',
  path: '/v1/boxes/{box}/tasks/{task}/cancel',
  operationId: 'cancelTask',
  tag: 'tasks',
  summary: 'Cancel a task',
  description: 'A waiting task ends at once; a running one is interrupted and ends as interrupted.',
  params: taskParams,
  answers: { 202: json(task, 'It is on its way.') },
  errors: ['box_not_found', 'task_not_found', 'task_ended', 'box_unreachable'],
});

export const answerQuestion = route({
  method: 'post',
  path: '/v1/boxes/{box}/tasks/{task}/answers/{question}',
  operationId: 'answerQuestion',
  tag: 'tasks',
  summary: 'Answer a question of the agent',
  params: questionParams,
  json: answerRequest,
  answers: { 204: { description: 'The agent goes on.' } },
  errors: ['box_not_found', 'task_not_found', 'task_ended', 'question_not_found', 'box_unreachable'],
  curl: `curl -X POST "$SANDBOX/v1/boxes/$BOX/tasks/$TASK/answers/$QUESTION" \\
  -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -d '{"answers": {"Which database?": "SQLite"}}'`,
});

export const taskEvents = route({
  method: 'get',
  path: '/v1/boxes/{box}/tasks/{task}/events',
  operationId: 'taskEvents',
  tag: 'tasks',
  summary: 'Stream the events of a task',
  description:
    'The recorded events, then those that come, until completion. Each has seq, counting from 1: a stream that broke goes on with ' +
    '?after=seq (or Last-Event-ID), nothing lost, nothing twice. Finished tasks are replayed.\n\n' +
    'A quiet stream carries an empty line (NDJSON) or a comment (SSE) every 15 s. A line of type stream_error, without seq, says that the ' +
    'stream, not the task, ended early.',
  params: taskParams,
  query: eventsQuery,
  headers: z.object(lastEventHeaders),
  answers: {
    200: stream(taskStreamLine, 'The events.'),
    204: { description: 'To a Last-Event-ID at the end of a task: there will be no more, do not connect again.' },
  },
  errors: ['box_not_found', 'task_not_found'],
  curl: `curl -N "$SANDBOX/v1/boxes/$BOX/tasks/$TASK/events?after=12" \\
  -H "X-API-Key: $API_KEY" -H "Accept: text/event-stream"`,
});
