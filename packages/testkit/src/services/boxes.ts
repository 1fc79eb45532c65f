import { randomBytes, randomInt } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { ApiError, type Box, type BoxEvent, type LogLine, runtimes, sizes } from '@citb/api';
import type { BoxChange, Boxes, NewBox } from '@citb/host/services.ts';

/** Boxes that are folders: `<root>/<id>/workspace`. */
export class BoxesDouble implements Boxes {
  readonly all = new Map<string, Box>();
  readonly #root: string;
  readonly #byKey = new Map<string, { request: string; id: string }>();
  readonly #logs = new Map<string, LogLine[]>();
  readonly #events = new Map<string, BoxEvent[]>();
  readonly #listeners = new Set<(boxId: string) => void>();
  /** What `create` was asked last, for tests of what routes pass on. */
  lastRequest: NewBox | undefined;
  maxBoxes = 100;

  constructor(root: string) {
    this.#root = root;
  }

  async create(request: NewBox, idempotencyKey?: string): Promise<{ box: Box; created: boolean }> {
    this.lastRequest = request;
    const known = this.#existing(request, idempotencyKey);
    if (known !== undefined) return { box: known, created: false };
    if (!runtimes.some((name) => name === request.runtime)) throw new ApiError('unknown_runtime');
    if (request.id !== undefined && this.all.has(request.id)) throw new ApiError('box_exists');
    if (this.all.size >= this.maxBoxes) throw new ApiError('host_full');
    const box = newBox(request, this.all.size);
    await mkdir(this.workspace(box.id), { recursive: true });
    this.all.set(box.id, box);
    if (idempotencyKey !== undefined) this.#byKey.set(idempotencyKey, { request: JSON.stringify(request), id: box.id });
    this.#logs.set(box.id, []);
    this.note(box.id, 'created');
    this.#events.set(box.id, []);
    this.#happen(box.id, 'created');
    this.#happen(box.id, 'running', { how: 'boot' });
    return { box, created: true };
  }

  #existing(request: NewBox, idempotencyKey: string | undefined): Box | undefined {
    const before = idempotencyKey === undefined ? undefined : this.#byKey.get(idempotencyKey);
    if (before !== undefined) {
      if (before.request !== JSON.stringify(request)) throw new ApiError('idempotency_conflict');
      return this.all.get(before.id);
    }
    if (request.userId === undefined) return undefined;
    const mine = [...this.all.values()].find((box) => box.user_id === request.userId);
    if (mine !== undefined && mine.runtime !== request.runtime) throw new ApiError('runtime_conflict');
    return mine;
  }

  /** Where a box's files are. */
  workspace(id: string): string {
    return path.join(this.#root, id, 'workspace');
  }

  need(id: string): Box {
    const box = this.all.get(id);
    if (box === undefined) throw new ApiError('box_not_found');
    return box;
  }

  async get(id: string): Promise<Box> {
    return this.need(id);
  }

  async byUser(userId: string): Promise<Box> {
    const box = [...this.all.values()].find((one) => one.user_id === userId);
    if (box === undefined) throw new ApiError('box_not_found', `${userId} has no box.`);
    return box;
  }

  async list(query: Parameters<Boxes['list']>[0]): ReturnType<Boxes['list']> {
    const matching = [...this.all.values()].filter(
      (box) =>
        (query.userId === undefined || box.user_id === query.userId) &&
        (query.state === undefined || box.state === query.state) &&
        Object.entries(query.labels).every(([name, value]) => box.labels[name] === value),
    );
    const from = query.cursor === undefined ? 0 : matching.findIndex((box) => box.id === query.cursor) + 1;
    const boxes = matching.slice(from, from + query.limit);
    return { boxes, next: from + query.limit < matching.length ? (boxes.at(-1)?.id ?? null) : null };
  }

  async kill(id: string): Promise<void> {
    this.need(id);
    this.#happen(id, 'killed');
    this.all.delete(id);
    for (const listener of this.#listeners) listener(id);
    await rm(path.dirname(this.workspace(id)), { recursive: true, force: true });
  }

  onKilled(listener: (boxId: string) => void): void {
    this.#listeners.add(listener);
  }

  async pause(id: string): Promise<Box> {
    if (this.need(id).state === 'stopped') throw new ApiError('box_not_running');
    return this.#move(id, 'paused', { pid: null, run_id: null });
  }

  async resume(id: string): Promise<Box> {
    return this.#move(id, 'running', { pid: randomInt(10_000, 60_000), run_id: `run_${randomBytes(5).toString('hex')}` });
  }

  async stop(id: string): Promise<Box> {
    return this.#move(id, 'stopped', { pid: null, run_id: null });
  }

  async update(id: string, { labels, idleS, keepAliveUntil, timeoutS, onTimeout }: BoxChange): Promise<Box> {
    const box: Box = {
      ...this.need(id),
      ...(labels === undefined ? {} : { labels: { ...labels } }),
      ...(idleS === undefined ? {} : { idle_s: idleS }),
      ...(keepAliveUntil === undefined ? {} : { keep_alive_until: dateOf(keepAliveUntil) }),
      ...(timeoutS === undefined ? {} : { expires: dateOf(timeoutS === null ? null : Date.now() + timeoutS * 1000) }),
      ...(onTimeout === undefined ? {} : { on_timeout: onTimeout }),
    };
    this.all.set(id, box);
    this.#happen(id, 'updated');
    return box;
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncIterable<BoxEvent> {
    const events = this.#events.get(id) ?? [];
    for (let next = after; !signal.aborted;) {
      const event = events[next];
      if (event === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
      else {
        next += 1;
        yield event;
        if (event.type === 'killed') return;
      }
    }
  }

  #move(id: string, state: Box['state'], more: Partial<Box>): Box {
    const box = this.need(id);
    if (box.state === state) return box;
    const moved = { ...box, state, ...more };
    this.all.set(id, moved);
    this.#happen(id, state);
    return moved;
  }

  #happen(id: string, type: string, content: Record<string, unknown> = {}): void {
    const events = this.#events.get(id) ?? [];
    events.push({ seq: events.length + 1, ts: new Date().toISOString(), type, content });
  }

  /** Adds a line to a box's log. */
  note(id: string, line: string): void {
    this.#logs.get(id)?.push({ ts: new Date().toISOString(), source: 'host', line });
  }

  async *logs(id: string, { tail, follow, signal }: { tail: number; follow: boolean; signal: AbortSignal }): AsyncIterable<LogLine> {
    this.need(id);
    const lines = this.#logs.get(id) ?? [];
    let next = Math.max(0, lines.length - tail);
    for (;;) {
      while (next < lines.length) yield lines[next++] as LogLine;
      if (!follow || signal.aborted || !this.all.has(id)) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function dateOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function newBox(request: NewBox, index: number): Box {
  const agent = request.runtime === 'claude-agent';
  const now = Date.now();
  return {
    id: request.id ?? `box_${randomBytes(5).toString('hex')}`,
    user_id: request.userId ?? null,
    runtime: request.runtime,
    state: 'running',
    reason: null,
    labels: { ...request.labels },
    disk_mib: request.diskMib ?? sizes.diskMib.default,
    memory_mib: request.memoryMib ?? (agent ? 1024 : 256),
    cpus: request.cpus ?? (agent ? 2 : 1),
    vm_ip: `127.64.0.${index + 1}`,
    pid: randomInt(10_000, 60_000),
    run_id: `run_${randomBytes(5).toString('hex')}`,
    created: new Date(now).toISOString(),
    expires: request.timeoutS === undefined ? null : new Date(now + request.timeoutS * 1000).toISOString(),
    on_timeout: request.onTimeout ?? 'kill',
    idle_s: request.idleS ?? 600,
    keep_alive_until: request.keepAliveUntil === undefined ? null : new Date(request.keepAliveUntil).toISOString(),
  };
}
