import { setTimeout as sleep } from 'node:timers/promises';
import { limits } from '@citb/api';
import type { z } from 'zod';
import type { Connection } from './connection.ts';
import { ConnectionError, isTransient } from './errors.ts';
import { readLines } from './lines.ts';

export interface EventOptions {
  /** Only events with a larger `seq`. Default 0: from the beginning. */
  readonly after?: number;
  readonly signal?: AbortSignal;
  /** How long a broken stream tries to come back, ms, counted from its last sign of life. Default 60 s. */
  readonly reconnectMs?: number;
  /** Told before each attempt to come back. */
  readonly onReconnect?: (cause: Error) => void;
}

/** Three heartbeats missed: the connection is dead though nobody said so. */
const silenceMs = limits.heartbeatMs * 3;
const longestPauseMs = 5_000;

/**
 * Numbered events as they come, until one is the last. A broken connection is taken up again where it stopped: no event is lost,
 * none comes twice.
 * @throws ApiError; ConnectionError when the host stays away longer than `reconnectMs`
 */
export async function* followEvents<T extends z.ZodType<{ seq: number }>>(
  connection: Connection,
  path: string,
  schema: T,
  isLast: (event: z.output<T>) => boolean,
  options: EventOptions,
): AsyncGenerator<z.output<T>, void, void> {
  const { signal, reconnectMs = 60_000, onReconnect } = options;
  let last = options.after ?? 0;
  let alive = performance.now();
  for (let failures = 1; ; failures++) {
    let broken: Error = new ConnectionError('unreachable', 'The stream ended early.');
    try {
      for await (const event of readLines(connection, path, schema, { query: { after: last }, signal, silenceMs })) {
        alive = performance.now();
        failures = 0;
        if (event.seq <= last) continue;
        last = event.seq;
        yield event;
        if (isLast(event)) return;
      }
    } catch (error) {
      if (!isTransient(error)) throw error;
      broken = error as Error;
    }
    if (performance.now() - alive > reconnectMs) throw broken;
    onReconnect?.(broken);
    await sleep(Math.min(100 * 2 ** failures, longestPauseMs), undefined, { ...(signal && { signal }) });
  }
}
