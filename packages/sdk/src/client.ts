import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import {
  type UsageReport,
  type BoxState,
  type DrainReport,
  type HostHealth,
  type HostStatus,
  type MaintenanceReport,
  type TimeoutAction,
  box,
  boxList,
  hostHealth,
  hostStatus,
  maintenanceResponse,
  usageReport,
  drainReport,
} from '@citb/api';
import { Box } from './box.ts';
import { Connection } from './connection.ts';
import { Exports } from './exports.ts';
import { type ImportOptions, importBox } from './import.ts';

export interface CitbOptions {
  /** Default: CITB_URL, else http://127.0.0.1:8080. */
  readonly url?: string | URL | undefined;
  /** Default: CITB_API_KEY. */
  readonly apiKey?: string | undefined;
}

export interface CreateOptions {
  /** The app's own id of its user; at most one box a user. */
  readonly userId?: string | undefined;
  /** `claude-agent` (default), `python`, `node`, `bash`, or what the host offers. */
  readonly runtime?: string | undefined;
  readonly id?: string | undefined;
  /** Environment of the box. ANTHROPIC_API_KEY stays on the host and is used for this box's model requests. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly diskMib?: number | undefined;
  readonly memoryMib?: number | undefined;
  readonly cpus?: number | undefined;
  /** After this many seconds `onTimeout` happens to it. Default: never. */
  readonly timeoutS?: number | undefined;
  /** Default: kill. */
  readonly onTimeout?: TimeoutAction | undefined;
  /** Paused after so many seconds without activity of its own; 0: never. Default: the host's (600). */
  readonly idleS?: number | undefined;
  /** Not paused for being idle before this moment. */
  readonly keepAliveUntil?: Date | undefined;
  /** The same key again is the same box. Made anew for each call when left out. */
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ListQuery {
  readonly userId?: string | undefined;
  readonly state?: BoxState | undefined;
  /** `name=value`; all must hold. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** The first box of a runtime may wait for its image to be built: minutes, with downloads. */
const createWithinMs = 20 * 60_000;

/**
 * A host of boxes.
 * @example
 * const citb = new Citb();
 * await using box = await citb.boxes.create({ userId: 'ada' });
 * const task = await box.run('Write hello.py and run it');
 * for await (const event of task.events()) if (event.type === 'text') console.log(event.content);
 */
export class Citb implements AsyncDisposable {
  readonly url: URL;
  readonly boxes: Boxes;
  readonly exports: Exports;
  readonly #connection: Connection;

  constructor(options: CitbOptions = {}) {
    this.url = new URL(options.url ?? process.env['CITB_URL'] ?? 'http://127.0.0.1:8080');
    this.#connection = new Connection(this.url, options.apiKey ?? process.env['CITB_API_KEY']);
    this.boxes = new Boxes(this.#connection);
    this.exports = new Exports(this.#connection);
  }

  /** Whether the host is ready, and why not; needs no key. @throws ConnectionError */
  async health(options: { readonly signal?: AbortSignal } = {}): Promise<HostHealth> {
    // A host that is not ready says so with 503 and the same form.
    return this.#connection.json('/health', hostHealth, { ...options, answerWithinMs: 10_000, expectStatus: [503] });
  }

  /** The host, its capacity and its boxes. @throws ApiError `unauthorized` */
  async status(): Promise<HostStatus> {
    return this.#connection.json('/status', hostStatus);
  }

  /** What boxes take on the host's disk: all, or those of a user. */
  async usage(query: { readonly userId?: string | undefined } = {}): Promise<UsageReport> {
    return this.#connection.json('/v1/usage', usageReport, { query: { user_id: query.userId } });
  }

  /** Has the host clean what belongs to no box; answers what it cleaned. */
  async maintain(): Promise<MaintenanceReport> {
    return this.#connection.json('/maintenance', maintenanceResponse, { method: 'POST', json: {} });
  }

  /**
   * Saves all running boxes to the host's disk because its machine goes down; from then on the host takes no work until it is
   * started again.
   * @param deadlineS boxes that are not saved by then are left
   */
  async drain(deadlineS = 25): Promise<DrainReport> {
    return this.#connection.json('/v1/host/drain', drainReport, {
      method: 'POST',
      json: { deadline_s: deadlineS },
      answerWithinMs: (deadlineS + 30) * 1000,
    });
  }

  /** Ends idle connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

/** The boxes of a host. Made by {@link Citb}. */
export class Boxes {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** A new box, or the one that the user has; resolves when it answers. @throws ApiError `runtime_conflict`, `host_full`, `image_failed`, … */
  async create(options: CreateOptions = {}): Promise<Box> {
    const info = await this.#connection.json('/v1/boxes', box, {
      method: 'POST',
      json: {
        id: options.id,
        user_id: options.userId,
        runtime: options.runtime,
        env_vars: options.env,
        labels: options.labels,
        disk_mib: options.diskMib,
        memory_mib: options.memoryMib,
        cpus: options.cpus,
        timeout_s: options.timeoutS,
        on_timeout: options.onTimeout,
        idle_s: options.idleS,
        keep_alive_until: options.keepAliveUntil?.toISOString(),
      },
      idempotencyKey: options.idempotencyKey ?? randomUUID(),
      signal: options.signal,
      answerWithinMs: createWithinMs,
    });
    return new Box(this.#connection, info);
  }

  /**
   * A box from a file that an export gave; it is stopped, and boots on its first request. Every checksum is compared. A connection
   * that breaks goes on where it stopped.
   * @throws ApiError `import_invalid`, `import_version`, `box_exists`, `import_limit`
   */
  async import(file: Readable | Uint8Array, options: ImportOptions = {}): Promise<Box> {
    return new Box(this.#connection, await importBox(this.#connection, file, options));
  }

  /** @throws ApiError `box_not_found` */
  async get(id: string): Promise<Box> {
    return new Box(this.#connection, await this.#connection.json(`/v1/boxes/${encodeURIComponent(id)}`, box));
  }

  /** The box of a user, when there is one. */
  async byUser(userId: string): Promise<Box | undefined> {
    for await (const found of this.list({ userId })) return found;
    return undefined;
  }

  /** All boxes that fit; further pages are fetched on the way. */
  async *list(query: ListQuery = {}): AsyncGenerator<Box, void, void> {
    let cursor: string | undefined;
    do {
      const label = Object.entries(query.labels ?? {}).map(([name, value]) => `${name}=${value}`);
      const page = await this.#connection.json('/v1/boxes', boxList, {
        query: { user_id: query.userId, state: query.state, label, cursor },
      });
      for (const info of page.boxes) yield new Box(this.#connection, info);
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
  }
}
