import { type Task, task as taskSchema, taskEvent } from '@citb/api';
import { z } from 'zod';

/** Characters of JSON in one entry at most, beside its last line. */
const pieceLength = 4 * 1024 * 1024;

/** One event and whose it is: a line of `events/…`. */
export const eventRecord = z.object({ task: z.string(), event: taskEvent });
export type EventRecord = z.infer<typeof eventRecord>;
export const taskRecord: z.ZodType<Task> = taskSchema;

/** Items as lines of JSON, in pieces that fit an entry. */
export function* pieces(items: Iterable<unknown>): Generator<Buffer> {
  let lines: string[] = [];
  let length = 0;
  for (const item of items) {
    const line = `${JSON.stringify(item)}\n`;
    lines.push(line);
    length += line.length;
    if (length < pieceLength) continue;
    yield Buffer.from(lines.join(''));
    lines = [];
    length = 0;
  }
  if (lines.length > 0) yield Buffer.from(lines.join(''));
}

/** The items of a piece. @throws ZodError, SyntaxError */
export function parsePiece<T>(piece: Buffer, schema: z.ZodType<T>): T[] {
  return piece
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => schema.parse(JSON.parse(line)));
}
