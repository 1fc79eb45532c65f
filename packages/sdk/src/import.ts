import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type Box as BoxInfo, type BoxImport, box, boxImport, exportMediaType } from '@citb/api';
import type { Connection } from './connection.ts';
import { ConnectionError, isTransient } from './errors.ts';

export interface ImportOptions {
  readonly id?: string | undefined;
  /** Whose box it is; nobody's when left out. */
  readonly userId?: string | undefined;
  /** Environment of the box, which an export does not hold. ANTHROPIC_API_KEY stays on the host. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long a broken connection tries to come back, ms, counted from the last bytes that arrived. Default 60 s. */
  readonly reconnectMs?: number | undefined;
  /** Told before each attempt to come back. */
  readonly onReconnect?: ((cause: Error) => void) | undefined;
}

/** What is held in memory, to be sent again from where a connection broke. */
const pieceBytes = 8 * 1024 * 1024;
/** One piece over a slow line, and reading back what is already there, ms. */
const pieceWithinMs = 10 * 60_000;
/** Every byte of a large disk is read and checked, ms. */
const finishWithinMs = 60 * 60_000;
const longestPauseMs = 5000;

/** Sends an exported box in pieces; a connection that breaks goes on where it stopped. @throws ApiError, ConnectionError */
export async function importBox(connection: Connection, file: Readable | Uint8Array, options: ImportOptions): Promise<BoxInfo> {
  const { signal } = options;
  const begun = await connection.json('/v1/imports', boxImport, { method: 'POST', idempotencyKey: randomUUID(), signal });
  const path = `/v1/imports/${begun.id}`;
  try {
    let offset = 0;
    for await (const piece of pieces(file)) offset = await append(connection, path, piece, offset, options);
    return await repeating(options, () =>
      connection.json(`${path}/finish`, box, {
        method: 'POST',
        json: { id: options.id, user_id: options.userId, env_vars: options.env },
        signal,
        answerWithinMs: finishWithinMs,
      }),
    );
  } catch (error) {
    // Unfinished ones go by themselves, but count until then.
    await connection.none(path, { method: 'DELETE', answerWithinMs: 5000 }).catch(() => undefined);
    throw error;
  }
}

/** @returns the offset after the piece */
async function append(connection: Connection, path: string, piece: Buffer, offset: number, options: ImportOptions): Promise<number> {
  const { signal } = options;
  const end = offset + piece.length;
  let sure = true;
  let at = offset;
  const send = async (moved: () => void): Promise<BoxImport> => {
    if (!sure) {
      const known = await connection.json(path, boxImport, { signal });
      if (known.offset < offset || known.offset > end)
        throw new ConnectionError('protocol', `The host has ${known.offset} bytes of the file, and it was sent ${offset} to ${end}.`);
      if (known.offset > at) moved();
      at = known.offset;
      if (at === end) return known;
    }
    sure = false;
    const body = piece.subarray(at - offset);
    const headers = { 'content-type': exportMediaType };
    return await connection.json(path, boxImport, {
      method: 'PUT',
      query: { offset: at },
      body,
      headers,
      signal,
      answerWithinMs: pieceWithinMs,
    });
  };
  return (await repeating(options, send)).offset;
}

/** Does something until it works or the host says no; gives up when it did not move for `reconnectMs`. */
async function repeating<T>(
  { reconnectMs = 60_000, onReconnect, signal }: ImportOptions,
  work: (moved: () => void) => Promise<T>,
): Promise<T> {
  let alive = performance.now();
  let failures = 0;
  const moved = (): void => {
    alive = performance.now();
    failures = 0;
  };
  for (;;) {
    const began = performance.now();
    try {
      return await work(moved);
    } catch (error) {
      // The host still had an earlier piece in hand: it says where to go on.
      const elsewhere = error instanceof ApiError && error.code === 'import_offset';
      // What was under way for a while was no silence.
      if (performance.now() - began > reconnectMs) moved();
      if (!(isTransient(error) || elsewhere) || performance.now() - alive > reconnectMs) throw error;
      onReconnect?.(error as Error);
      failures += 1;
    }
    await sleep(Math.min(100 * 2 ** failures, longestPauseMs), undefined, { ...(signal && { signal }) });
  }
}

async function* pieces(file: Readable | Uint8Array): AsyncGenerator<Buffer, void, void> {
  if (file instanceof Uint8Array) {
    for (let at = 0; at < file.length; at += pieceBytes) yield Buffer.from(file.subarray(at, at + pieceBytes));
    return;
  }
  let held: Buffer[] = [];
  let size = 0;
  for await (const chunk of file as AsyncIterable<Uint8Array | string>) {
    held.push(Buffer.from(chunk as Uint8Array));
    size += held.at(-1)?.length ?? 0;
    if (size < pieceBytes) continue;
    yield Buffer.concat(held);
    [held, size] = [[], 0];
  }
  if (size > 0) yield Buffer.concat(held);
}
