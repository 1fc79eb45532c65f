import { appendQuery, boxExport, boxImport, exportMediaType, importFinish, importQuery } from '../transfer.ts';
import { usageQuery, usageReport } from '../usage.ts';
import { box } from '../v1.ts';
import { boxParams, exportParams, importParams } from './params.ts';
import { json, route } from './route.ts';

const file = { [exportMediaType]: null };

export const exportBox = route({
  method: 'get',
  path: '/v1/boxes/{box}/export',
  operationId: 'exportBox',
  tag: 'transfer',
  summary: 'Download a whole box',
  description:
    'Disk (with conversations), tasks and events as one file, for POST /v1/boxes/import on this or another host. Environment variables ' +
    'and keys are secrets and stay here. The box may run; its disk is taken as of one moment. To resume a broken download, use POST …/exports.',
  params: boxParams,
  answers: { 200: { description: 'The box.', content: file } },
  errors: ['box_not_found', 'host_disk_full', 'box_unreachable'],
  curl: `curl "$SANDBOX/v1/boxes/$BOX/export" -H "X-API-Key: $API_KEY" -o ada.citb`,
});

export const prepareExport = route({
  method: 'post',
  path: '/v1/boxes/{box}/exports',
  operationId: 'prepareExport',
  tag: 'transfer',
  summary: 'Prepare a download of a whole box',
  description: 'Answers when the file is made; its content does not change any more. It is removed after a day.',
  params: boxParams,
  answers: { 201: json(boxExport, 'Prepared.', { Location: 'Where it is downloaded.' }) },
  errors: ['box_not_found', 'export_limit', 'host_disk_full', 'box_unreachable'],
});

export const downloadExport = route({
  method: 'get',
  path: '/v1/exports/{export}',
  operationId: 'downloadExport',
  tag: 'transfer',
  summary: 'Download a prepared export',
  description: 'Range goes on where a broken download stopped.',
  params: exportParams,
  answers: { 200: { description: 'The box.', content: file }, 206: { description: 'The part that Range asked for.', content: file } },
  errors: ['export_not_found', 'range_not_satisfiable'],
  curl: `curl -C - "$SANDBOX/v1/exports/$EXPORT" -H "X-API-Key: $API_KEY" -o ada.citb`,
});

export const deleteExport = route({
  method: 'delete',
  path: '/v1/exports/{export}',
  operationId: 'deleteExport',
  tag: 'transfer',
  summary: 'Delete a prepared export',
  params: exportParams,
  answers: { 204: { description: 'It is gone.' } },
  errors: ['export_not_found'],
});

export const importBox = route({
  method: 'post',
  path: '/v1/boxes/import',
  operationId: 'importBox',
  tag: 'transfer',
  summary: 'Make a box from an export',
  description:
    'Every checksum is compared before the box appears. It is stopped, and boots on the next request. Environment variables do not come ' +
    'with it; its Anthropic key is given with a task, by X-Anthropic-Key. To send a large file so that a broken connection can be resumed, ' +
    'use POST /v1/imports.',
  query: importQuery,
  bytes: { mediaType: exportMediaType, description: 'The file that an export gave.' },
  answers: { 201: json(box, 'It is there.', { Location: 'Address of the box.' }) },
  errors: ['unknown_runtime', 'box_exists', 'import_invalid', 'import_version', 'body_too_large', 'host_full', 'host_disk_full'],
  curl: `curl -T ada.citb -X POST "$SANDBOX/v1/boxes/import?user_id=ada" -H "X-API-Key: $API_KEY"`,
});

export const beginImport = route({
  method: 'post',
  path: '/v1/imports',
  operationId: 'beginImport',
  tag: 'transfer',
  summary: 'Begin an import that can be resumed',
  description:
    'The file is then sent by PUT …/{import}?offset=, in as many pieces as you like, and becomes a box by POST …/finish. What is not ' +
    'finished is removed a day after its last byte.',
  answers: { 201: json(boxImport, 'Send the file.', { Location: 'Where it is sent.' }) },
  errors: ['import_limit', 'host_disk_full'],
  curl: `curl -X POST "$SANDBOX/v1/imports" -H "X-API-Key: $API_KEY"`,
});

export const getImport = route({
  method: 'get',
  path: '/v1/imports/{import}',
  operationId: 'getImport',
  tag: 'transfer',
  summary: 'How far an import is',
  params: importParams,
  answers: { 200: json(boxImport, 'Go on at its offset.') },
  errors: ['import_not_found'],
});

export const appendImport = route({
  method: 'put',
  path: '/v1/imports/{import}',
  operationId: 'appendImport',
  tag: 'transfer',
  summary: 'Send the next bytes of an import',
  description:
    'Answers when they are on the disk. When the connection breaks, what arrived stays: GET tells the offset to go on at. A request that ' +
    'begins elsewhere is refused (import_offset). One that comes while an earlier one still hangs ends that one.',
  params: importParams,
  query: appendQuery,
  bytes: { mediaType: exportMediaType, description: 'A part of the file that an export gave.' },
  answers: { 200: json(boxImport, 'They are there.') },
  errors: ['import_not_found', 'import_offset', 'body_too_large', 'host_disk_full'],
  curl: `tail -c +$((OFFSET + 1)) ada.citb | curl -T - "$SANDBOX/v1/imports/$IMPORT?offset=$OFFSET" -H "X-API-Key: $API_KEY"`,
});

export const finishImport = route({
  method: 'post',
  path: '/v1/imports/{import}/finish',
  operationId: 'finishImport',
  tag: 'transfer',
  summary: 'Make a box from what was sent',
  description:
    'Every checksum is compared before the box appears, stopped. May be repeated when the answer was lost: an import makes one box. A file ' +
    'that is not intact is removed.',
  params: importParams,
  json: importFinish,
  answers: { 201: json(box, 'It is there.', { Location: 'Address of the box.' }) },
  errors: [
    'import_not_found',
    'unknown_runtime',
    'box_exists',
    'box_killed',
    'idempotency_conflict',
    'import_invalid',
    'import_version',
    'host_full',
    'host_disk_full',
  ],
  curl: `curl "$SANDBOX/v1/imports/$IMPORT/finish" -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \\
  -d '{"user_id": "ada"}'`,
});

export const deleteImport = route({
  method: 'delete',
  path: '/v1/imports/{import}',
  operationId: 'deleteImport',
  tag: 'transfer',
  summary: 'Give an import up',
  params: importParams,
  answers: { 204: { description: 'Nothing is left of it.' } },
  errors: ['import_not_found'],
});

export const usage = route({
  method: 'get',
  path: '/v1/usage',
  operationId: 'usage',
  tag: 'host',
  summary: 'What boxes take on the host’s disk',
  query: usageQuery,
  answers: { 200: json(usageReport, 'By box.') },
  errors: [],
  curl: `curl "$SANDBOX/v1/usage?user_id=ada" -H "X-API-Key: $API_KEY"`,
});
