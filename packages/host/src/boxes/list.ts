import { ApiError } from '@citb/api';
import type { Boxes } from '../services.ts';
import { type BoxRow, type BoxRows, boxOf } from './rows.ts';

/** One page of boxes, oldest first. The cursor is a place in the order of creation, so pages hold while boxes come and go. */
export function listBoxes(rows: BoxRows, query: Parameters<Boxes['list']>[0]): Awaited<ReturnType<Boxes['list']>> {
  const found = rows.page({
    ...query,
    after: query.cursor === undefined ? { created: -1, id: '' } : fromCursor(query.cursor),
    limit: query.limit + 1,
  });
  const page = found.slice(0, query.limit);
  const last = page.at(-1);
  return { boxes: page.map(boxOf), next: found.length > page.length && last !== undefined ? toCursor(last) : null };
}

function toCursor(row: BoxRow): string {
  return Buffer.from(`${row.created} ${row.id}`).toString('base64url');
}

function fromCursor(cursor: string): { created: number; id: string } {
  const match = /^(\d{1,15}) ([A-Za-z0-9_-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'));
  if (match?.[1] === undefined || match[2] === undefined)
    throw new ApiError('invalid_request', 'cursor: must be `next` of a page before', { field: 'cursor' });
  return { created: Number(match[1]), id: match[2] };
}
