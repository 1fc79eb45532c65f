import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { getSystemErrorName } from 'node:util';
import { ApiError, type UploadAnswer, limits, uploadProtocol } from '@citb/api';
import { toApiError } from '@citb/daemon';
import { z } from 'zod';
import { fileEntry } from '../tree/index.ts';
import type { Envd } from './context.ts';
import { admits } from './gate.ts';
import { writeQuery } from './routes/workspace.ts';

const uploadQuery = writeQuery.extend({ bytes: z.coerce.number().int().min(1).max(limits.uploadBytes) });

const switching = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${uploadProtocol}\r\n\r\n`;
const unauthorized = 'HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

/** How long the host has to close the connection once it has its answer, in ms. What it still sends is thrown away. */
const lingerMs = 10_000;

/** What `receive.c` ends with when the connection did before the file was whole. */
const brokeOff = 255;

/** True for a request by the contract's {@link uploadProtocol}. */
export function isUpload({ method, url, headers }: IncomingMessage): boolean {
  return method === 'PUT' && url?.startsWith('/workspace/upload?') === true && headers.upgrade === uploadProtocol;
}

/**
 * Large files, which a program of its own moves from the connection into the file. Node would take each 64 KiB through half a dozen
 * functions, which an emulated CPU interprets: docs/decisions/009-uploads-past-node.md
 */
export class Uploads {
  readonly #envd: Pick<Envd, 'session' | 'workspace' | 'log'>;
  readonly #receiver: readonly [string, ...string[]];
  readonly #open = new Set<Duplex>();

  /** @param receiver command line of `receive`, to which the number of bytes is added */
  constructor(envd: Pick<Envd, 'session' | 'workspace' | 'log'>, receiver: readonly [string, ...string[]]) {
    this.#envd = envd;
    this.#receiver = receiver;
  }

  /** Takes the file and answers; never rejects. */
  async take(request: IncomingMessage, connection: Duplex): Promise<void> {
    this.#open.add(connection);
    connection.once('close', () => this.#open.delete(connection));
    // A host that is gone is no error; without a listener it would be thrown.
    connection.on('error', () => undefined);
    if (!admits(this.#envd.session, request)) {
      connection.end(unauthorized);
      return;
    }
    const accepted = { yet: false };
    const accept = (): void => {
      if (!accepted.yet) connection.write(switching);
      accepted.yet = true;
    };
    const answer = await this.#store(request, connection, accept);
    accept();
    connection.end(JSON.stringify(answer));
    connection.resume();
    const linger = setTimeout(() => connection.destroy(), lingerMs);
    connection.once('close', () => clearTimeout(linger));
  }

  /** Cuts all connections. */
  close(): void {
    for (const connection of this.#open) connection.destroy();
  }

  async #store(request: IncomingMessage, connection: Duplex, accept: () => void): Promise<UploadAnswer> {
    const { workspace, log } = this.#envd;
    try {
      const { path, mode, bytes } = uploadQuery.parse(Object.fromEntries(new URL(request.url ?? '', 'http://envd').searchParams));
      const fill = async (file: FileHandle): Promise<void> => {
        const receiver = this.#receive(connection, file, bytes);
        // Not before: from now on the host sends, and only the receiver reads.
        accept();
        await ended(receiver);
      };
      return { status: 200, body: fileEntry(await workspace.write(path, fill, { mode })) };
    } catch (error) {
      const fault = toApiError(error);
      if (fault.status >= 500) log.error({ err: error, code: fault.code }, 'an upload failed');
      return { status: fault.status, body: fault.body(`req_${randomUUID()}`) };
    }
  }

  #receive(connection: Duplex, file: FileHandle, bytes: number): ChildProcess {
    const [program, ...first] = this.#receiver;
    // Node stops reading a connection that it gives to a child.
    return spawn(program, [...first, String(bytes)], { env: {}, stdio: ['ignore', file.fd, 'ignore', connection] });
  }
}

/** @throws ApiError `invalid_request` when the connection ended early; a system error as of a write when the file could not take the bytes */
async function ended(receiver: ChildProcess): Promise<void> {
  const [status, signal] = (await once(receiver, 'exit')) as [number | null, string | null];
  if (status === 0) return;
  if (status === brokeOff) throw new ApiError('invalid_request', 'The body broke off.');
  if (status === null) throw new Error(`the receiver was ended by ${signal}`);
  const code = getSystemErrorName(-status);
  throw Object.assign(new Error(`the file was not written: ${code}`), { code });
}
