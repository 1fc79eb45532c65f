import { ApiError } from '@citb/api';
import type { BoxAccess, LiveBox } from './access.ts';

type Knows = Pick<BoxAccess, 'wentToSleep'>;

/** What a caller is told of a connection into a box that broke: a box that was put to sleep is no box that fails. */
export function whyGone(access: Knows, box: LiveBox, error: unknown): unknown {
  if (!(error instanceof ApiError) || error.code !== 'box_unreachable') return error;
  const asleep = access.wentToSleep(box);
  return asleep === undefined ? error : new ApiError(`box_${asleep}`, undefined, { cause: error });
}

/** A stream out of a box; the error that ends it says {@link whyGone}. */
export async function* tellingWhy<T>(access: Knows, box: LiveBox, stream: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* stream;
  } catch (error) {
    throw whyGone(access, box, error);
  }
}
