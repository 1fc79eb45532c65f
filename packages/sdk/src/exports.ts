import { type BoxExport, boxExport } from '@citb/api';
import type { Connection } from './connection.ts';
import type { Download } from './files.ts';

/** Reading and packing a large disk takes minutes, ms. */
const prepareWithinMs = 60 * 60_000;

/** Whole boxes as files that do not change any more, so that a broken download goes on where it stopped. */
export class Exports {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Resolves when the file is made; the host keeps it for a day. @throws ApiError `export_limit`, `host_disk_full` */
  async prepare(boxId: string): Promise<BoxExport> {
    const path = `/v1/boxes/${encodeURIComponent(boxId)}/exports`;
    return this.#connection.json(path, boxExport, { method: 'POST', answerWithinMs: prepareWithinMs });
  }

  /** Its bytes from `from` on. @throws ApiError `export_not_found` */
  async download(id: string, from = 0): Promise<Download> {
    const answer = await this.#connection.send(`/v1/exports/${encodeURIComponent(id)}`, {
      headers: from === 0 ? {} : { range: `bytes=${from}-` },
    });
    return { size: Number(answer.headers['content-length']), body: answer.body };
  }

  /** @throws ApiError `export_not_found` */
  async delete(id: string): Promise<void> {
    await this.#connection.none(`/v1/exports/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }
}
