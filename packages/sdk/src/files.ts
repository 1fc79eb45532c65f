import type { Readable } from 'node:stream';
import { type FileChange, type FileEntry, type FileListing, fileChange, fileEntry, fileListing, limits } from '@citb/api';
import { z } from 'zod';
import type { Connection } from './connection.ts';
import { readLines } from './lines.ts';

interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

/** A file on its way out of a box. */
export interface Download {
  /** Bytes, where the host knows them beforehand. */
  readonly size: number | undefined;
  readonly body: Readable;
}

/** The workspace of a box. Paths are relative to it: `src/main.py`; '' is the workspace itself. */
export class Files {
  readonly #connection: Connection;
  readonly #base: string;

  constructor(connection: Connection, boxId: string) {
    this.#connection = connection;
    this.#base = `/v1/boxes/${encodeURIComponent(boxId)}/files`;
  }

  /** Entries sorted by path. `truncated`: there are more than `limit` (at most 10 000). @throws ApiError `file_not_found`, `not_a_directory` */
  async list(path = '', options: Abortable & { readonly recursive?: boolean; readonly limit?: number } = {}): Promise<FileListing> {
    const { recursive, limit, signal } = options;
    return this.#connection.json(this.#base, fileListing, { query: { path, recursive, limit }, signal });
  }

  /** A file's text. For bytes or large files: {@link download}. @throws ApiError `file_not_found`, `not_a_file` */
  async read(path: string, options: Abortable = {}): Promise<string> {
    const { body } = await this.download(path, options);
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks).toString('utf8');
  }

  /** A file's bytes as a stream; `range` as in HTTP: `bytes=0-1023`. @throws ApiError `file_not_found`, `not_a_file`, `range_not_satisfiable` */
  async download(path: string, options: Abortable & { readonly range?: string } = {}): Promise<Download> {
    const answer = await this.#connection.send(`${this.#base}/content`, {
      query: { path },
      headers: options.range === undefined ? {} : { range: options.range },
      signal: options.signal,
    });
    const length = Number(answer.headers['content-length'] ?? Number.NaN);
    return { size: Number.isSafeInteger(length) ? length : undefined, body: answer.body };
  }

  /** Writes a file whole: it has the new content or the old, never half. Folders on the way are made. @throws ApiError `disk_full` */
  async write(path: string, content: string | Uint8Array, options: Abortable & { readonly mode?: string } = {}): Promise<FileEntry> {
    const body = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
    return this.upload(path, body, options);
  }

  /** Like {@link write}, from a stream. `mode`: permission bits, octal (`755`). @throws ApiError `disk_full`, `body_too_large` */
  async upload(
    path: string,
    content: Readable | Uint8Array,
    options: Abortable & { readonly mode?: string | undefined; readonly size?: number | undefined } = {},
  ): Promise<FileEntry> {
    return this.#connection.json(`${this.#base}/content`, fileEntry, {
      method: 'PUT',
      query: { path, mode: options.mode },
      headers: {
        'content-type': 'application/octet-stream',
        ...(options.size === undefined ? {} : { 'content-length': String(options.size) }),
      },
      body: content,
      signal: options.signal,
      answerWithinMs: longTransferMs,
    });
  }

  /** Makes a folder and those above it; an existing one is fine. @throws ApiError `file_exists` */
  async makeFolder(path: string): Promise<FileEntry> {
    return this.#connection.json(`${this.#base}/folder`, fileEntry, { method: 'POST', query: { path } });
  }

  /** @throws ApiError `file_not_found`; `file_exists` unless `overwrite` */
  async move(from: string, to: string, options: { readonly overwrite?: boolean } = {}): Promise<FileEntry> {
    return this.#connection.json(`${this.#base}/move`, fileEntry, { method: 'POST', json: { from, to, ...options } });
  }

  /** Removes a file, or with `recursive` a folder and what is in it. @throws ApiError `file_not_found`, `folder_not_empty` */
  async remove(path: string, options: { readonly recursive?: boolean } = {}): Promise<void> {
    await this.#connection.none(`${this.#base}/content`, { method: 'DELETE', query: { path, recursive: options.recursive } });
  }

  /** A folder as one stream. Special files are left out, links stay links. @throws ApiError `file_not_found` */
  async archive(path = '', options: Abortable & { readonly format?: 'tar' | 'zip' } = {}): Promise<Readable> {
    const { format = 'tar', signal } = options;
    const answer = await this.#connection.send(`${this.#base}/archive`, { query: { path, format }, signal });
    return answer.body;
  }

  /** Unpacks a tar stream below `path`; answers the number of its files. @throws ApiError `disk_full`, `path_outside` */
  async unpack(path: string, tar: Readable, options: Abortable = {}): Promise<number> {
    const answer = await this.#connection.json(`${this.#base}/archive`, z.object({ files: z.int() }), {
      method: 'PUT',
      query: { path },
      headers: { 'content-type': 'application/x-tar' },
      body: tar,
      signal: options.signal,
      answerWithinMs: longTransferMs,
    });
    return answer.files;
  }

  /** Changes below `path` as they happen, until the signal or the end of the loop. @throws ApiError `file_not_found` */
  async *watch(path = '', options: Abortable = {}): AsyncGenerator<FileChange, void, void> {
    const request = { query: { path }, signal: options.signal, silenceMs: limits.heartbeatMs * 3 };
    for await (const change of readLines(this.#connection, `${this.#base}/watch`, fileChange, request)) {
      if (change.type !== 'heartbeat') yield change;
    }
  }
}

/** The answer to an upload comes after its last byte: as long as the largest one may take on a slow line. */
const longTransferMs = 6 * 3600 * 1000;
