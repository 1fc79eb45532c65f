import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  agentTaskRequest,
  ApiError,
  isTaskEnded,
  type AgentTaskRequest,
  type ErrorCode,
  type NewTaskEvent,
  type TaskState,
} from '@citb/api';

interface Journal {
  readonly request: AgentTaskRequest;
  readonly lines: string[];
  state: TaskState;
  lastSeq: number;
}

/** An agent server in this process, speaking the contract of guest.ts, with the faults that a test wants. */
export class AgentDouble implements AsyncDisposable {
  readonly journals = new Map<string, Journal>();
  readonly forgotten: string[] = [];
  readonly cancelled: string[] = [];
  readonly answers: unknown[] = [];
  /** Set: what `POST /tasks` answers instead. */
  refuse: ErrorCode | undefined;
  /** Set: what every request is answered with, unseen. */
  misbehave: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  posts = 0;
  readonly #token: string;
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #readers = new Set<() => void>();

  constructor(token: string) {
    this.#token = token;
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  emit(taskId: string, ...events: NewTaskEvent[]): void {
    const journal = this.#journal(taskId);
    for (const event of events) {
      journal.lastSeq += 1;
      this.raw(taskId, JSON.stringify({ ...event, seq: journal.lastSeq, ts: new Date().toISOString() }));
      if (event.type === 'completion') journal.state = event.outcome;
    }
  }

  /** A line as it is. */
  raw(taskId: string, line: string): void {
    this.#journal(taskId).lines.push(line);
    for (const wake of this.#readers) wake();
  }

  /** A crash: the last `lines` of the journal never reached the disk. */
  loseTail(taskId: string, lines: number): void {
    const journal = this.#journal(taskId);
    journal.lines.splice(-lines);
    journal.lastSeq -= lines;
  }

  /** Cuts every connection where it is. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cut();
  }

  #journal(taskId: string): Journal {
    const journal = this.journals.get(taskId);
    if (journal === undefined) throw new ApiError('task_not_found');
    return journal;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.misbehave !== undefined) return this.misbehave(request, response);
    try {
      if (request.headers['x-access-token'] !== this.#token) throw new ApiError('unauthorized');
      await this.#route(request, response);
    } catch (error) {
      if (!(error instanceof ApiError)) return void response.destroy();
      response.writeHead(error.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(error.body('req_1')));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://guest');
    const [, top, id = '', verb] = url.pathname.split('/');
    const json = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (top === 'health') return json(200, { agent: 'ready', version: '1' });
    if (request.method === 'POST' && id === '') return json(202, this.#take(await text(request)));
    if (request.method === 'GET' && id === '')
      return json(200, { tasks: [...this.journals].map(([task, { state, lastSeq }]) => ({ id: task, state, last_seq: lastSeq })) });
    if (request.method === 'DELETE') {
      this.forgotten.push(id);
      return void response.writeHead(204).end();
    }
    const journal = this.#journal(id);
    if (verb === 'events') return this.#stream(journal, Number(url.searchParams.get('after')), response);
    if (verb === 'cancel') {
      if (isTaskEnded(journal.state)) throw new ApiError('task_ended');
      this.cancelled.push(id);
      return void response.writeHead(202).end();
    }
    if (verb === 'answers') {
      this.answers.push(JSON.parse(await text(request)));
      return void response.writeHead(204).end();
    }
    return json(200, { id, state: journal.state, last_seq: journal.lastSeq });
  }

  #take(body: string): unknown {
    this.posts += 1;
    if (this.refuse !== undefined) throw new ApiError(this.refuse);
    const request = agentTaskRequest.parse(JSON.parse(body));
    const journal = this.journals.get(request.id) ?? { request, lines: [], state: 'queued', lastSeq: 0 };
    this.journals.set(request.id, journal);
    return { id: request.id, state: journal.state, last_seq: journal.lastSeq };
  }

  async #stream(journal: Journal, after: number, response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    let next = journal.lines.findIndex((line) => seqOf(line) > after);
    if (next === -1) next = journal.lines.length;
    while (!response.destroyed) {
      for (; next < journal.lines.length; next += 1) response.write(`${journal.lines[next]}\n`);
      if (isTaskEnded(journal.state)) return void response.end();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#readers.add(resolve);
      const heartbeat = setInterval(() => response.write('\n'), 500);
      response.once('close', resolve);
      await promise;
      clearInterval(heartbeat);
      response.off('close', resolve);
      this.#readers.delete(resolve);
    }
  }
}

function seqOf(line: string): number {
  try {
    return (JSON.parse(line) as { seq: number }).seq;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}
