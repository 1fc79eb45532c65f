import { type Box as BoxInfo, type Checkpoint, box, checkpoint, checkpointList } from '@citb/api';
import type { Connection } from './connection.ts';

/** Copying a large disk takes minutes, ms. */
const copyWithinMs = 20 * 60_000;

/** States of a box to go back to. */
export class Checkpoints {
  readonly #connection: Connection;
  readonly #path: string;

  constructor(connection: Connection, boxId: string) {
    this.#connection = connection;
    this.#path = `/v1/boxes/${encodeURIComponent(boxId)}/checkpoints`;
  }

  /**
   * Disk and, unless `memory` is false, running processes as of now; the box goes on.
   * @throws ApiError `checkpoint_limit`, `host_disk_full`
   */
  async create(options: { readonly name?: string | undefined; readonly memory?: boolean | undefined } = {}): Promise<Checkpoint> {
    const { name, memory } = options;
    return this.#connection.json(this.#path, checkpoint, { method: 'POST', json: { name, memory }, answerWithinMs: copyWithinMs });
  }

  /** Oldest first; also those that the host made before tasks (`task_id`) and those of the agent. */
  async list(): Promise<Checkpoint[]> {
    return (await this.#connection.json(this.#path, checkpointList)).checkpoints;
  }

  /** Brings the box back; what it is now is given up. Resolves when it answers. @throws ApiError `checkpoint_not_found` */
  async restore(id: string): Promise<BoxInfo> {
    const path = `${this.#path}/${encodeURIComponent(id)}/restore`;
    return this.#connection.json(path, box, { method: 'POST', answerWithinMs: copyWithinMs });
  }

  /** @throws ApiError `checkpoint_not_found` */
  async delete(id: string): Promise<void> {
    await this.#connection.none(`${this.#path}/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }
}
