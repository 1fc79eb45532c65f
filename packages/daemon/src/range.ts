import { ApiError } from '@citb/api';

/** Bytes `start` up to and including `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The one range of a `Range` header (RFC 9110, 14.1.2). Undefined for none, several, or what is no range: the whole file is sent then.
 * @throws ApiError `range_not_satisfiable`
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return undefined;
  if (first === '') return suffix(Number(last), size);
  const range = { start: Number(first), end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
  if (last !== '' && Number(last) < range.start) return undefined;
  if (range.start >= size) throw new ApiError('range_not_satisfiable', `The file has ${size} bytes.`);
  return range;
}

function suffix(length: number, size: number): ByteRange {
  if (length === 0 || size === 0) throw new ApiError('range_not_satisfiable', `The file has ${size} bytes.`);
  return { start: Math.max(0, size - length), end: size - 1 };
}
