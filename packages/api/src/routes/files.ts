import { fileChange, fileEntry, fileListing } from '../guest.ts';
import { archiveQuery, fileQuery, listFilesQuery, moveBody, removeQuery, unpacked, unpackQuery, watchQuery, writeQuery } from '../v1.ts';
import { boxParams } from './params.ts';
import { json, route, stream } from './route.ts';

const bytes = { 'application/octet-stream': null };

export const listFiles = route({
  method: 'get',
  path: '/v1/boxes/{box}/files',
  operationId: 'listFiles',
  tag: 'files',
  summary: 'List a folder',
  description: 'Sorted by path. Symbolic links are listed, not followed.',
  params: boxParams,
  query: listFilesQuery,
  answers: { 200: json(fileListing, 'Its entries.') },
  errors: ['invalid_path', 'box_not_found', 'file_not_found', 'not_a_directory', 'path_outside', 'box_failed', 'box_unreachable'],
});

export const readFile = route({
  method: 'get',
  path: '/v1/boxes/{box}/files/content',
  operationId: 'readFile',
  tag: 'files',
  summary: 'Download a file',
  description: 'Files of any size are streamed; Range asks for a part. HEAD gives size and type.',
  params: boxParams,
  query: fileQuery,
  answers: {
    200: { description: 'The bytes of the file.', content: bytes },
    206: { description: 'The part that Range asked for.', content: bytes },
  },
  errors: ['invalid_path', 'box_not_found', 'file_not_found', 'not_a_file', 'path_outside', 'range_not_satisfiable', 'box_unreachable'],
  curl: `curl "$SANDBOX/v1/boxes/$BOX/files/content?path=src/main.py" \\
  -H "X-API-Key: $API_KEY" -o main.py`,
});

export const writeFile = route({
  method: 'put',
  path: '/v1/boxes/{box}/files/content',
  operationId: 'writeFile',
  tag: 'files',
  summary: 'Upload a file',
  description: 'The body is the file; any size is streamed. Folders above it are made. The file appears whole or not at all.',
  params: boxParams,
  query: writeQuery,
  bytes: { mediaType: 'application/octet-stream', description: 'The bytes of the file.' },
  answers: { 200: json(fileEntry, 'Written.') },
  errors: ['invalid_path', 'box_not_found', 'not_a_file', 'not_a_directory', 'path_outside', 'disk_full', 'box_failed', 'box_unreachable'],
  curl: `curl -T data.csv "$SANDBOX/v1/boxes/$BOX/files/content?path=data/data.csv" \\
  -H "X-API-Key: $API_KEY"`,
});

export const removeFile = route({
  method: 'delete',
  path: '/v1/boxes/{box}/files/content',
  operationId: 'removeFile',
  tag: 'files',
  summary: 'Remove a file or folder',
  description: 'A folder that is not empty needs recursive=true.',
  params: boxParams,
  query: removeQuery,
  answers: { 204: { description: 'Removed.' } },
  errors: ['invalid_path', 'box_not_found', 'file_not_found', 'folder_not_empty', 'path_outside', 'box_failed', 'box_unreachable'],
});

export const makeFolder = route({
  method: 'post',
  path: '/v1/boxes/{box}/files/folder',
  operationId: 'makeFolder',
  tag: 'files',
  summary: 'Make a folder',
  description: 'And those above it. Also when it exists.',
  params: boxParams,
  query: fileQuery,
  answers: { 201: json(fileEntry, 'It is there.') },
  errors: ['invalid_path', 'box_not_found', 'file_exists', 'not_a_directory', 'path_outside', 'disk_full', 'box_failed', 'box_unreachable'],
});

export const moveFile = route({
  method: 'post',
  path: '/v1/boxes/{box}/files/move',
  operationId: 'moveFile',
  tag: 'files',
  summary: 'Move or rename a file or folder',
  params: boxParams,
  json: moveBody,
  answers: { 200: json(fileEntry, 'Where it is now.') },
  errors: ['invalid_path', 'box_not_found', 'file_not_found', 'file_exists', 'path_outside', 'box_failed', 'box_unreachable'],
});

export const downloadArchive = route({
  method: 'get',
  path: '/v1/boxes/{box}/files/archive',
  operationId: 'downloadArchive',
  tag: 'files',
  summary: 'Download a folder as tar or zip',
  description: 'Regular files, folders and links; pipes and devices are left out.',
  params: boxParams,
  query: archiveQuery,
  answers: { 200: { description: 'The archive.', content: { 'application/x-tar': null, 'application/zip': null } } },
  errors: ['invalid_path', 'box_not_found', 'file_not_found', 'not_a_directory', 'path_outside', 'box_failed', 'box_unreachable'],
  curl: `curl "$SANDBOX/v1/boxes/$BOX/files/archive?format=zip" \\
  -H "X-API-Key: $API_KEY" -o workspace.zip`,
});

export const uploadArchive = route({
  method: 'put',
  path: '/v1/boxes/{box}/files/archive',
  operationId: 'uploadArchive',
  tag: 'files',
  summary: 'Upload a folder as tar',
  description: 'Unpacked inside path only; entries that would lead out of it are refused.',
  params: boxParams,
  query: unpackQuery,
  bytes: { mediaType: 'application/x-tar', description: 'A tar, plain or gzip.' },
  answers: { 200: json(unpacked, 'Unpacked.') },
  errors: ['invalid_path', 'box_not_found', 'not_a_directory', 'path_outside', 'disk_full', 'box_failed', 'box_unreachable'],
  curl: `tar -cz . | curl -T - "$SANDBOX/v1/boxes/$BOX/files/archive" \\
  -H "X-API-Key: $API_KEY"`,
});

export const watchFiles = route({
  method: 'get',
  path: '/v1/boxes/{box}/files/watch',
  operationId: 'watchFiles',
  tag: 'files',
  summary: 'Watch a folder for changes',
  description: 'The first line is a heartbeat: what changes after it is seen.',
  params: boxParams,
  query: watchQuery,
  answers: { 200: stream(fileChange, 'One change a line, until the client leaves.') },
  errors: ['invalid_path', 'box_not_found', 'file_not_found', 'path_outside', 'box_failed', 'box_unreachable'],
});
