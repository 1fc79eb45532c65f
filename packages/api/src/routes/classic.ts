import { z } from 'zod';
import {
  classicProcesses,
  classicTaskRequest,
  createMicrovmRequest,
  createMicrovmResponse,
  downloadQuery,
  hostHealth,
  hostStatus,
  killMicrovmRequest,
  killMicrovmResponse,
  maintenanceResponse,
  userQuery,
  workspaceFiles,
} from '../classic.ts';
import { taskEvent } from '../events.ts';
import { modelKeyHeaders } from './params.ts';
import { json, mediaTypes, route } from './route.ts';

export const createMicrovm = route({
  method: 'post',
  path: '/create_microvm',
  operationId: 'createMicrovm',
  tag: 'classic',
  summary: 'Create the box of a user',
  description: 'Answers when the box is ready. Again for the same user it is the same box and the same answer.',
  json: createMicrovmRequest,
  answers: { 200: json(createMicrovmResponse, 'The box is ready.') },
  errors: ['unknown_runtime', 'runtime_conflict', 'host_full', 'host_disk_full', 'image_failed', 'box_failed'],
  curl: `curl -X POST "$SANDBOX/create_microvm" -H "Content-Type: application/json" -H "X-API-Key: $API_KEY" \\
  -d '{"user_id": "test-claude-1", "runtime": "claude-agent",
       "env_vars": {"ANTHROPIC_API_KEY": "'"$ANTHROPIC_API_KEY"'"}}'`,
});

export const claudeInTheBox = route({
  method: 'post',
  path: '/claude_in_the_box',
  operationId: 'claudeInTheBox',
  tag: 'classic',
  summary: 'Give the agent a task and stream what it does',
  description:
    'Each line is a JSON object with `type` and `content`, sent as it happens: `text` (a string), `tool_use` (an object), and `completion` (a string), ' +
    'which is always last. Other types are safe to ignore; `heartbeat` keeps a quiet connection open.\n\n' +
    'A client that leaves does not stop the task: go on with `GET /v1/boxes/{box}/tasks/{task}/events?after=seq`, with the ids of the answer’s ' +
    '`X-Box-Id` and `X-Task-Id`. Should the stream itself break, an `error` line says so before `completion`.',
  headers: z.object(modelKeyHeaders),
  json: classicTaskRequest,
  answers: {
    200: {
      description: 'The events of the task, one a line.',
      content: { [mediaTypes.ndjson]: taskEvent },
      headers: { 'X-Task-Id': 'Id of the task.', 'X-Box-Id': 'Id of the box.' },
    },
  },
  errors: ['invalid_path', 'box_not_found', 'no_agent', 'no_model_key', 'queue_full', 'disk_full', 'box_failed', 'box_unreachable'],
  curl: `curl -N --max-time 300 -X POST "$SANDBOX/claude_in_the_box" \\
  -H "Content-Type: application/json" -H "X-API-Key: $API_KEY" \\
  -d '{"user_id": "test-claude-1", "task": "Run the hello.py script",
       "files": {"hello.py": "print(\\"Hello World\\")"}}'`,
});

export const listWorkspaceFiles = route({
  method: 'get',
  path: '/list_workspace_files',
  operationId: 'listWorkspaceFiles',
  tag: 'classic',
  summary: 'List the files of a user’s box',
  description: 'All regular files below /workspace, sorted by path.',
  query: userQuery,
  answers: { 200: json(workspaceFiles, 'The files.') },
  errors: ['box_not_found', 'box_failed', 'box_unreachable'],
  curl: `curl "$SANDBOX/list_workspace_files?user_id=test-claude-1" -H "X-API-Key: $API_KEY"`,
});

export const downloadFile = route({
  method: 'get',
  path: '/download_file',
  operationId: 'downloadFile',
  tag: 'classic',
  summary: 'Download one file',
  description: 'Files of any size are streamed; Range asks for a part.',
  query: downloadQuery,
  answers: {
    200: { description: 'The bytes of the file.', content: { 'application/octet-stream': null } },
    206: { description: 'The part that Range asked for.', content: { 'application/octet-stream': null } },
  },
  errors: ['invalid_path', 'box_not_found', 'file_not_found', 'not_a_file', 'path_outside', 'range_not_satisfiable', 'box_unreachable'],
  curl: `curl "$SANDBOX/download_file?user_id=test-claude-1&filename=hello.py" \\
  -H "X-API-Key: $API_KEY" -o hello.py`,
});

export const listProcesses = route({
  method: 'get',
  path: '/list_processes',
  operationId: 'listProcesses',
  tag: 'classic',
  summary: 'List the processes in a user’s box',
  query: userQuery,
  answers: { 200: json(classicProcesses, 'The processes.') },
  errors: ['box_not_found', 'box_failed', 'box_unreachable'],
  curl: `curl "$SANDBOX/list_processes?user_id=test-claude-1" -H "X-API-Key: $API_KEY"`,
});

export const status = route({
  method: 'get',
  path: '/status',
  operationId: 'status',
  tag: 'classic',
  summary: 'The host, its capacity and its boxes',
  answers: { 200: json(hostStatus, 'What runs here.') },
  errors: [],
  curl: `curl "$SANDBOX/status" -H "X-API-Key: $API_KEY"`,
});

export const killMicrovm = route({
  method: 'post',
  path: '/kill_microvm',
  operationId: 'killMicrovm',
  tag: 'classic',
  summary: 'Kill the box of a user',
  description: 'Answers when nothing of it is left: machine, disk and conversations.',
  json: killMicrovmRequest,
  answers: { 200: json(killMicrovmResponse, 'It is gone.') },
  errors: ['box_not_found', 'box_busy'],
  curl: `curl -X POST "$SANDBOX/kill_microvm" -H "Content-Type: application/json" -H "X-API-Key: $API_KEY" \\
  -d '{"user_id": "test-claude-1"}'`,
});

export const health = route({
  method: 'get',
  path: '/health',
  operationId: 'health',
  tag: 'classic',
  summary: 'Is the host able to run boxes?',
  public: true,
  answers: { 200: json(hostHealth, 'It is.'), 503: json(hostHealth, 'It starts, stops, or cannot make boxes; reason says why.') },
  errors: [],
  curl: `curl "$SANDBOX/health"`,
});

export const maintenance = route({
  method: 'post',
  path: '/maintenance',
  operationId: 'maintenance',
  tag: 'classic',
  summary: 'Clean up what belongs to no box',
  description: 'The host does so by itself every 60 s; an outside cron may call it as well. What lives is never touched.',
  answers: { 200: json(maintenanceResponse, 'What was cleaned.') },
  errors: [],
  curl: `curl -X POST "$SANDBOX/maintenance" -H "X-API-Key: $API_KEY"`,
});
