import type { FileEntry } from '@citb/api';
import { ApiError } from '@citb/api/errors.ts';
import type { Answer, Question } from './answers.ts';
import type { GuestState } from './state.ts';

/** envd's `/workspace` routes over the records of the disk; folders are only part of names. */
export function workspace(state: GuestState, { method, path, query, body }: Question): Answer {
  const name = query.get('path') ?? '';
  switch (`${method} ${path}`) {
    case 'GET /workspace/list':
      return { status: 200, json: { entries: [...state.files.keys()].toSorted().map((each) => entry(state, each)), truncated: false } };
    case 'GET /workspace/stat':
      return { status: 200, json: entry(state, name) };
    case 'GET /workspace/file':
      return { status: 200, bytes: content(state, name) };
    case 'PUT /workspace/file':
      state.write(name, body);
      return { status: 200, json: entry(state, name) };
    case 'POST /workspace/move': {
      const { from, to } = JSON.parse(body.toString()) as { from: string; to: string };
      content(state, from);
      state.move(from, to);
      return { status: 200, json: entry(state, to) };
    }
    case 'DELETE /workspace/entry':
      content(state, name);
      state.remove(name);
      return { status: 204 };
    default:
      throw new ApiError('not_found');
  }
}

function content(state: GuestState, path: string): Buffer {
  const found = state.files.get(path);
  if (found === undefined) throw new ApiError('file_not_found');
  return found;
}

function entry(state: GuestState, path: string): FileEntry {
  return { path, type: 'file', size: content(state, path).length, modified: new Date().toISOString(), mode: '644' };
}
