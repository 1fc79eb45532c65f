import { ApiError, limits } from '@citb/api';
import type { z } from 'zod';
import type { HttpContext } from './http.ts';

/**
 * The request's JSON body, parsed by a schema. Reads at most `limit` bytes however the body is sent.
 * @throws ApiError `body_too_large`, `invalid_json`; ZodError for a wrong form
 */
export async function readJson<T extends z.ZodType>(c: HttpContext, schema: T, limit: number = limits.jsonBodyBytes): Promise<z.output<T>> {
  const text = await readText(c, limit);
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (cause) {
    throw new ApiError('invalid_json', `The body is not valid JSON: ${cause instanceof Error ? cause.message.slice(0, 200) : ''}`, {
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ApiError('invalid_request', 'The body must be a JSON object.');
  return schema.parse(value);
}

/** Strict: bytes that are replaced would make two different names the same. A byte order mark is left out. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

async function readText(c: HttpContext, limit: number): Promise<string> {
  const declared = Number(c.req.header('content-length') ?? 0);
  if (declared > limit) throw new ApiError('body_too_large', `The body has ${declared} bytes; at most ${limit} are taken here.`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.byteLength;
    if (size > limit) throw new ApiError('body_too_large', `The body has more than ${limit} bytes.`);
    chunks.push(chunk);
  }
  try {
    return utf8.decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new ApiError('invalid_json', 'The body is not UTF-8.', { cause });
  }
}
