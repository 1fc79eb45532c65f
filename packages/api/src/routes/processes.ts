import { z } from 'zod';
import { processListing } from '../guest.ts';
import { backgroundProcess, execEvent, execRequest, signalRequest, stdinRequest, streamError, terminalQuery } from '../v1.ts';
import { boxParams, processParams } from './params.ts';
import { json, mediaTypes, route, stream } from './route.ts';

/** What a stream of output consists of. */
const outputLine = z.union([execEvent, streamError]);
const endedEarly =
  'A last line of type stream_error says that the stream ended and the command did not, for example because somebody paused the box ' +
  '(box_paused): it goes on when the box wakes, and GET …/processes/{pid}/output follows it again.';

export const exec = route({
  method: 'post',
  path: '/v1/boxes/{box}/exec',
  operationId: 'exec',
  tag: 'processes',
  summary: 'Run a command',
  description:
    'Streams start, stdout and stderr as they come, and exit. A client that leaves kills the command, unless background is true: then the ' +
    'answer is its pid at once, and its output is kept in the box.\n\n' +
    endedEarly,
  params: boxParams,
  json: execRequest,
  answers: {
    200: stream(outputLine, 'The output, as it comes.'),
    201: {
      description: 'It runs in the background.',
      content: { [mediaTypes.json]: backgroundProcess },
      headers: { Location: 'Address of its output.' },
    },
  },
  errors: ['box_not_found', 'box_failed', 'box_unreachable'],
  curl: `curl -N "$SANDBOX/v1/boxes/$BOX/exec" -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -d '{"command": "python3 --version"}'`,
});

export const processList = route({
  method: 'get',
  path: '/v1/boxes/{box}/processes',
  operationId: 'processList',
  tag: 'processes',
  summary: 'List processes',
  params: boxParams,
  answers: { 200: json(processListing, 'All processes of the box.') },
  errors: ['box_not_found', 'box_failed', 'box_unreachable'],
});

export const processOutput = route({
  method: 'get',
  path: '/v1/boxes/{box}/processes/{pid}/output',
  operationId: 'processOutput',
  tag: 'processes',
  summary: 'Output of a background command',
  description: `What was kept (the last 1 MiB), then what comes, until it exits. A client that leaves does not stop it.\n\n${endedEarly}`,
  params: processParams,
  answers: { 200: stream(outputLine, 'The output.') },
  errors: ['box_not_found', 'process_not_found', 'box_failed', 'box_unreachable'],
});

export const processInput = route({
  method: 'post',
  path: '/v1/boxes/{box}/processes/{pid}/stdin',
  operationId: 'processInput',
  tag: 'processes',
  summary: 'Write to a command, or close its input',
  params: processParams,
  json: stdinRequest,
  answers: { 204: { description: 'Written.' } },
  errors: ['box_not_found', 'process_not_found', 'box_unreachable'],
});

export const processSignal = route({
  method: 'post',
  path: '/v1/boxes/{box}/processes/{pid}/signal',
  operationId: 'processSignal',
  tag: 'processes',
  summary: 'Send a signal',
  params: processParams,
  json: signalRequest,
  answers: { 204: { description: 'Sent.' } },
  errors: ['box_not_found', 'process_not_found', 'box_unreachable'],
});

export const terminal = route({
  method: 'get',
  path: '/v1/boxes/{box}/terminal',
  operationId: 'terminal',
  tag: 'processes',
  summary: 'Open a terminal (WebSocket)',
  description:
    'Binary frames are bytes of the terminal, in both directions. Text frames are JSON: from the client {"type":"resize","cols","rows"}, from ' +
    'the host {"type":"start","pid"} and, when the program ends, {"type":"exit","exit_code"}. With pid a terminal that is open is joined: its ' +
    'program outlives the connection.\n\n' +
    'The key comes in X-API-Key, or, where a client cannot set headers, as the subprotocol key.<base64url of the key> beside citb.\n\n' +
    'Close codes: 1000 the program ended, 1001 the host stops, 1007 a text frame that is no control message, 1009 a frame over 1 MiB, ' +
    '1011 the box failed, 1013 the client did not read, 4001 the box was paused (joining again wakes it), 4002 the box was stopped.',
  params: boxParams,
  query: terminalQuery,
  answers: { 101: { description: 'The terminal is open.' } },
  errors: ['box_not_found', 'process_not_found', 'box_failed', 'box_unreachable', 'upgrade_required'],
});
