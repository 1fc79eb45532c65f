import { ApiError, streamError } from '@citb/api';
import type { z } from 'zod';
import { type ApiRequest, type Connection, brokenConnection } from './connection.ts';
import { ConnectionError, apiError } from './errors.ts';

/** The host cuts events at 1 MiB (`limits.eventBytes`); JSON may write a byte as six. */
const lineUnits = 8 * 1024 * 1024;

/**
 * An NDJSON answer, line by line, each checked by its schema. Blank lines (heartbeats) are left out, and so are objects whose
 * `type` this version does not know: the contract lets newer hosts add some.
 * @throws ApiError (also when the host ends the stream with a `stream_error` line), ConnectionError; the signal's reason when it is aborted
 */
export async function* readLines<T extends z.ZodType>(
  connection: Connection,
  path: string,
  schema: T,
  request: ApiRequest,
): AsyncGenerator<z.output<T>, void, void> {
  const answer = await connection.send(path, { ...request, headers: { accept: 'application/x-ndjson', ...request.headers } });
  try {
    for await (const line of splitLines(answer.body)) {
      const value = parseLine(line, path);
      const ended = streamError.safeParse(value).data;
      if (ended !== undefined) throw apiError(ended.content);
      const parsed = schema.safeParse(value);
      if (parsed.success) yield parsed.data;
      else if (!parsed.error.issues.every((issue) => issue.path[0] === 'type')) {
        throw new ConnectionError('protocol', `A line of ${path} does not have the expected form.`, { cause: parsed.error });
      }
    }
  } catch (cause) {
    throw cause instanceof ConnectionError || cause instanceof ApiError ? cause : brokenConnection(connection.url, cause, request.signal);
  } finally {
    answer.body.destroy();
  }
}

function parseLine(line: string, path: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new ConnectionError('protocol', `A line of ${path} is not JSON.`, { cause });
  }
}

async function* splitLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > lineUnits) throw new ConnectionError('protocol', 'The host sent a line that is too long.');
    for (const part of parts) if (part.trim() !== '') yield part;
  }
  // What is left over has no newline: the connection broke inside a line, which comes again after the reconnection.
}
