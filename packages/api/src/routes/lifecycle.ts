import { z } from 'zod';
import { boxEvent, boxUpdate, drainReport, drainRequest } from '../lifecycle.ts';
import { box, eventsQuery, streamError } from '../v1.ts';
import { boxParams, lastEventHeaders } from './params.ts';
import { json, route, stream } from './route.ts';

export const updateBox = route({
  method: 'patch',
  path: '/v1/boxes/{box}',
  operationId: 'updateBox',
  tag: 'boxes',
  summary: 'Change labels, idle time or lifetime',
  description: 'What is left out stays as it is. Does not wake the box.',
  params: boxParams,
  json: boxUpdate,
  answers: { 200: json(box, 'The box.') },
  errors: ['box_not_found'],
  curl: `curl -X PATCH "$SANDBOX/v1/boxes/$BOX" -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -d '{"idle_s": 3600, "timeout_s": 86400, "on_timeout": "pause"}'`,
});

export const pauseBox = route({
  method: 'post',
  path: '/v1/boxes/{box}/pause',
  operationId: 'pauseBox',
  tag: 'boxes',
  summary: 'Pause a box',
  description:
    'Answers when memory and processes are on the disk and the machine is gone: it then costs no memory and no CPU. The next request that ' +
    'needs the box wakes it, or POST …/resume. A task that runs goes on after the wake; its stream waits. Pausing a paused box changes nothing.',
  params: boxParams,
  answers: { 200: json(box, 'It is paused.') },
  errors: ['box_not_found', 'box_not_running', 'box_killed', 'pause_failed', 'host_disk_full'],
  curl: `curl -X POST "$SANDBOX/v1/boxes/$BOX/pause" -H "X-API-Key: $API_KEY"`,
});

export const resumeBox = route({
  method: 'post',
  path: '/v1/boxes/{box}/resume',
  operationId: 'resumeBox',
  tag: 'boxes',
  summary: 'Resume a box',
  description:
    'Answers when it runs: a paused box as it was, a stopped one booted from its disk. A box whose memory cannot be brought back boots ' +
    'from its disk; its events say so (wake_failed). Nothing happens to one that runs.',
  params: boxParams,
  answers: { 200: json(box, 'It runs.') },
  errors: ['box_not_found', 'box_killed', 'box_failed', 'host_full', 'host_disk_full', 'image_failed'],
  curl: `curl -X POST "$SANDBOX/v1/boxes/$BOX/resume" -H "X-API-Key: $API_KEY"`,
});

export const stopBox = route({
  method: 'post',
  path: '/v1/boxes/{box}/stop',
  operationId: 'stopBox',
  tag: 'boxes',
  summary: 'Stop a box',
  description:
    'Shuts its system down; files and conversations stay, processes do not. The next request boots it. Nothing happens to one that is stopped.',
  params: boxParams,
  answers: { 200: json(box, 'It is stopped.') },
  errors: ['box_not_found', 'box_killed', 'box_failed', 'host_full'],
  curl: `curl -X POST "$SANDBOX/v1/boxes/$BOX/stop" -H "X-API-Key: $API_KEY"`,
});

export const boxEvents = route({
  method: 'get',
  path: '/v1/boxes/{box}/events',
  operationId: 'boxEvents',
  tag: 'boxes',
  summary: 'Stream the events of a box',
  description:
    'What happened to the box (the last 1000 are kept), then what comes, until it is killed. Goes on with ?after=seq (or Last-Event-ID) ' +
    'where a broken stream stopped. Reading it neither wakes the box nor keeps it awake.',
  params: boxParams,
  query: eventsQuery,
  headers: z.object(lastEventHeaders),
  answers: { 200: stream(z.union([boxEvent, streamError]), 'The events.') },
  errors: ['box_not_found'],
  curl: `curl -N "$SANDBOX/v1/boxes/$BOX/events?after=0" -H "X-API-Key: $API_KEY"`,
});

export const drainHost = route({
  method: 'post',
  path: '/v1/host/drain',
  operationId: 'drainHost',
  tag: 'host',
  summary: 'Pause all boxes: this machine goes down',
  description:
    'Saves all running boxes, the one used last first, inside the deadline. From then on the host refuses work with host_stopping until ' +
    'its daemon is started again: the boxes are there, paused, and boxes with unfinished tasks go on by themselves. With ' +
    'CITB_ON_SIGTERM=pause the daemon does the same when it is told to end.',
  json: drainRequest,
  answers: { 200: json(drainReport, 'What was saved.') },
  errors: [],
  curl: `curl -X POST "$SANDBOX/v1/host/drain" -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" -d '{"deadline_s": 25}'`,
});
