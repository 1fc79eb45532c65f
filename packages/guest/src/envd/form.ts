import type { Readable } from 'node:stream';
import { ApiError } from '@citb/api';

/** Files in one form. */
const maxFiles = 1000;

/**
 * Takes the files of a multipart form, each written as it comes in.
 * @param path where the one file goes; without it each goes by its own name
 * @throws ApiError `invalid_request` for a form that is none, without files, or with several for one path
 */
export async function receiveForm<T>(
  body: Readable,
  contentType: string,
  path: string | undefined,
  write: (path: string, body: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T[]> {
  const { Busboy } = await import('@fastify/busboy');
  const form = parserOf(
    () =>
      new Busboy({
        headers: { 'content-type': contentType },
        preservePath: true,
        limits: { files: maxFiles, fields: 100, fieldSize: 64 * 1024 },
      }),
  );
  const writes: Promise<T>[] = [];
  form.on('file', (field, file, filename) => {
    const target = path === undefined || path === '' ? filename : path;
    // Each is awaited below; until then a failure must not count as unhandled.
    if (field !== 'file') file.resume();
    else writes.push(writeOne(target, file, writes.length > 0 && target === path, write));
    writes.at(-1)?.catch(() => file.resume());
  });
  const parsed = Promise.withResolvers<void>();
  form.once('finish', parsed.resolve);
  form.once('error', (error) => parsed.reject(new ApiError('invalid_request', 'The body is not a multipart form.', { cause: error })));
  body.once('error', parsed.reject);
  body.once('close', () => {
    if (!body.readableEnded) parsed.reject(new ApiError('invalid_request', 'The body broke off.'));
  });
  body.pipe(form);
  try {
    await parsed.promise;
  } catch (error) {
    form.destroy();
    await Promise.allSettled(writes);
    throw error;
  }
  const written = await Promise.all(writes);
  if (written.length === 0) throw new ApiError('invalid_request', 'The form has no file: its field must be named "file".');
  return written;
}

function parserOf<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ApiError('invalid_request', 'The body is not a multipart form.', { cause: error });
  }
}

async function writeOne<T>(
  target: string,
  file: Readable,
  second: boolean,
  write: (path: string, body: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  if (second) throw new ApiError('invalid_request', 'The path query parameter is for one file, the form has several.');
  if (target === '') throw new ApiError('invalid_request', 'A file of the form has no name, and there is no path.');
  return write(target, file);
}
