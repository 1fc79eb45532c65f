import { ApiError } from '@citb/api';
import { Process } from '@citb/api/gen/process_pb.js';
import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import type { UniversalClientFn } from '@connectrpc/connect/protocol';
import { createTransport } from '@connectrpc/connect/protocol-connect';
import type { Pool } from 'undici';
import { guestText, unreachable } from './errors.ts';

export type ProcessClient = Client<typeof Process>;

/** Largest message of the guest in bytes; envd sends output in far smaller pieces. */
const readMaxBytes = 4 * 1024 * 1024;
/** envd sends a keep-alive message each so many seconds on a quiet stream (E2B's header). */
export const keepAliveSeconds = 10;
/** A stream that is silent for three keep-alives has lost its guest, in ms. */
const stallMs = 3 * keepAliveSeconds * 1000;

/**
 * E2B's process service in a guest, by the Connect protocol over the same connections as everything else.
 * @param user whom commands run as; the name goes into Basic authorization without a password, as E2B has it
 */
export function processClient(pool: Pool, token: string, user: string): ProcessClient {
  const headers = {
    'x-access-token': token,
    authorization: `Basic ${Buffer.from(`${user}:`).toString('base64')}`,
    'keepalive-ping-interval': String(keepAliveSeconds),
  };
  const httpClient: UniversalClientFn = async (request) => {
    const url = new URL(request.url);
    const answer = await pool.request({
      method: 'POST',
      path: url.pathname + url.search,
      headers: { ...Object.fromEntries(request.header), ...headers },
      body: await collect(request.body),
      signal: request.signal ?? null,
      headersTimeout: stallMs,
      bodyTimeout: stallMs,
    });
    // undici reports a body that is given up as its error; nobody may be listening by then.
    answer.body.on('error', () => undefined);
    const header = new Headers();
    for (const [name, value] of Object.entries(answer.headers)) if (typeof value === 'string') header.set(name, value);
    return { status: answer.statusCode, header, body: answer.body, trailer: new Headers() };
  };
  return createClient(
    Process,
    createTransport({
      httpClient,
      baseUrl: 'http://guest',
      useBinaryFormat: true,
      interceptors: [],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: Number.MAX_SAFE_INTEGER,
      readMaxBytes,
      writeMaxBytes: readMaxBytes,
    }),
  );
}

/** Codes with which envd says that it cannot be done as it was asked; Unauthenticated is E2B's for an unknown user. */
const callersMistakes: ReadonlySet<Code> = new Set([Code.InvalidArgument, Code.FailedPrecondition, Code.Unauthenticated]);

/**
 * The table's error for a failed call of the process service.
 * @param missing what the guest's "not found" means for this call
 */
export function processError(error: unknown, missing: 'process' | 'program'): ApiError {
  if (error instanceof ApiError) return error;
  const known = ConnectError.from(error);
  const text = guestText(known.rawMessage);
  if (known.code === Code.NotFound)
    return missing === 'process' ? new ApiError('process_not_found') : new ApiError('invalid_request', text);
  if (callersMistakes.has(known.code)) return new ApiError('invalid_request', text);
  if (known.code === Code.Unavailable) return new ApiError('box_busy', text);
  return unreachable(error);
}

/** Requests of this service are small and known at once (no client streams are used). */
async function collect(body: AsyncIterable<Uint8Array> | undefined): Promise<Buffer | null> {
  if (body === undefined) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
