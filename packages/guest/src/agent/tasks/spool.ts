import { mkdirSync, readdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentTaskRequest, agentTaskRequest, taskId } from '@citb/api';
import { writeDurably } from '../durable.ts';

/** Requests that wait for their turn, one file each; on the large disk, because they may hold files. */
export class Spool {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** Durable when it returns. @throws what the file system says */
  async put(request: AgentTaskRequest): Promise<void> {
    await writeDurably(this.#path(request.id), JSON.stringify(request));
  }

  /** Undefined when it is gone or broken. */
  async get(id: string): Promise<AgentTaskRequest | undefined> {
    try {
      return agentTaskRequest.parse(JSON.parse(await readFile(this.#path(id), 'utf8')));
    } catch {
      return undefined;
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id), { force: true });
  }

  /** Removes requests of tasks that nobody knows: accepted half-way when the machine went down. */
  async keepOnly(ids: ReadonlySet<string>): Promise<void> {
    for (const name of readdirSync(this.#folder))
      if (!name.endsWith('.json') || !ids.has(name.slice(0, -5))) await rm(join(this.#folder, name), { force: true });
  }

  #path(id: string): string {
    return join(this.#folder, `${taskId.parse(id)}.json`);
  }
}
