import { finished, type Readable, Transform } from 'node:stream';
import { ApiError } from '@citb/api';

/** A body on its way into a box. */
export interface Upload {
  readonly stream: Transform;
  /** Aborted when nothing moved for too long: the guest takes nothing, or does not answer after the last byte. */
  readonly stalled: AbortSignal;
  [Symbol.dispose](): void;
}

/**
 * Counts and watches a body. The source is never destroyed, whatever happens to the upload: it is the caller's connection, on
 * which the answer must still go out.
 * @param limit most bytes; beyond it the stream fails with `body_too_large`
 * @param stallMs how long nothing may move; the caller's own silence is bounded by whoever reads from the network, sooner than this
 */
export function watchUpload(source: Readable, limit: number, stallMs: number): Upload {
  const stalled = new AbortController();
  const timer = setTimeout(
    () => stalled.abort(new ApiError('box_unreachable', 'The box does not take the bytes of this upload.')),
    stallMs,
  );
  let seen = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      timer.refresh();
      seen += chunk.length;
      if (seen > limit) done(new ApiError('body_too_large'));
      else done(null, chunk);
    },
  });
  // It may fail when the HTTP client has already given it up.
  stream.on('error', () => undefined);
  const unwatch = finished(source, { writable: false }, (error) => {
    if (error) stream.destroy(error instanceof ApiError ? error : new ApiError('bad_request', 'The upload ended early.', { cause: error }));
  });
  source.pipe(stream);
  return {
    stream,
    stalled: stalled.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      unwatch();
      source.unpipe(stream);
      stream.destroy();
    },
  };
}
