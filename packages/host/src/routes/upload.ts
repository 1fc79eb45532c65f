import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, limits } from '@citb/api';
import type { HttpContext } from '@citb/daemon';
import { nodeOf } from './node.ts';
import { refuseEncoding } from './register.ts';

/**
 * Hands the body's bytes to `use`, as they come.
 * @param refused media types that are surely a mistake here, with what to do instead
 * @throws body_too_large beyond `limits.uploadBytes`, bad_request when the body ends early, unsupported_media_type
 */
export async function withUpload<T>(
  c: HttpContext,
  refused: Readonly<Record<string, string>>,
  use: (body: Readable, size: number | undefined, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
  const hint = refused[type];
  if (hint !== undefined) throw new ApiError('unsupported_media_type', `This route does not take ${type}.`, { hint });
  refuseEncoding(c);

  const { incoming } = nodeOf(c);
  const size = declaredSize(c);
  if (size !== undefined && size > limits.uploadBytes) throw new ApiError('body_too_large');
  const left = new AbortController();
  const signal = AbortSignal.any([c.req.raw.signal, left.signal]);
  // node itself holds a body to its Content-Length; one without is counted.
  if (size !== undefined) return use(incoming, size, signal);
  const counted = counter(limits.uploadBytes);
  const [result] = await Promise.all([
    use(counted, undefined, signal),
    pipeline(incoming, counted).catch((error: unknown) => {
      left.abort();
      throw error;
    }),
  ]);
  return result;
}

function declaredSize(c: HttpContext): number | undefined {
  const header = c.req.header('content-length');
  return header === undefined ? undefined : Number(header);
}

function counter(limit: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.byteLength;
      if (seen > limit) done(new ApiError('body_too_large'));
      else done(null, chunk);
    },
  });
}
