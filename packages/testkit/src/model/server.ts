import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gates } from './gates.ts';
import { type Turn, messagesRequest, readTurn } from './history.ts';
import { assistant } from './assistant.ts';
import { scenarios } from './scenarios.ts';
import { type Delivery, type Reply, readMarker, say } from './script.ts';
import { type Answer, errorBody, messageEvents, sse, wholeMessage } from './wire.ts';

/** What tests may ask about a request that came. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly apiKey: string | undefined;
  readonly authorization: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly model: string | undefined;
  readonly messages: number;
  readonly scenario: string | undefined;
  readonly prompt: string | undefined;
  /** Equal for requests with equal messages. */
  readonly key: string;
}

export interface ScriptedModel {
  /** Base URL, without a slash at the end. */
  readonly url: string;
  /** The latest requests, oldest first; at most 1000. */
  readonly requests: readonly RecordedRequest[];
  /** Opens a gate of the `wait` scenario. */
  release(name: string): void;
  /** How many answers wait at a gate. */
  waiting(name: string): number;
  close(): Promise<void>;
}

export interface ScriptedModelOptions {
  readonly port?: number;
  readonly host?: string;
}

const requestsKept = 1000;
const bodyBytes = 64 * 1024 * 1024;

/**
 * Starts a server that speaks Anthropic's Messages API and answers by script. A marker in the user's text chooses the
 * scenario (see {@link scenarios}); without one it does what simple prompts ask for. It keeps no state of conversations.
 * Also: `POST /v1/messages/count_tokens`, `HEAD /api/hello`, and `POST /release/<name>` for the `wait` scenario.
 */
export async function startScriptedModel(options: ScriptedModelOptions = {}): Promise<ScriptedModel> {
  const requests: RecordedRequest[] = [];
  const gates = new Gates();
  const server = createServer((request, response) => {
    answer(request, response, requests, gates).catch((error: unknown) => {
      if (response.headersSent || response.destroyed) response.destroy();
      else json(response, 400, errorBody('invalid_request_error', error instanceof Error ? error.message : 'bad request'));
    });
  });
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const { address, port } = server.address() as AddressInfo;
  return {
    url: `http://${address}:${port}`,
    requests,
    release: (name) => gates.release(name),
    waiting: (name) => gates.waiting(name),
    close: () => close(server),
  };
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}

async function answer(request: IncomingMessage, response: ServerResponse, requests: RecordedRequest[], gates: Gates): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://model').pathname;
  const gate = /^\/release\/([\w-]+)$/.exec(path)?.[1];
  if (gate !== undefined) {
    gates.release(gate);
    return json(response, 200, { released: gate });
  }
  if (path.endsWith('/api/hello')) return json(response, 200, { message: 'hello' });
  const body = await readBody(request);
  if (path.endsWith('/v1/messages/count_tokens')) return json(response, 200, { input_tokens: Math.ceil(body.length / 4) });
  if (!path.endsWith('/v1/messages')) return json(response, 404, errorBody('not_found_error', 'Not found'));

  const parsed = messagesRequest.parse(JSON.parse(body));
  const key = createHash('sha256').update(JSON.stringify(parsed.messages)).digest('base64');
  const turn = readTurn(parsed, requests.filter((each) => each.key === key).length);
  const marker = readMarker(turn.prompt);
  record(requests, request, path, {
    model: parsed.model,
    messages: parsed.messages.length,
    scenario: marker?.name,
    prompt: turn.prompt,
    key,
  });
  const run = marker === undefined ? assistant : scenarios[marker.name];
  const reply = run === undefined ? say(`There is no scenario "${marker?.name}".`) : run(turn, marker?.args ?? {});
  await send(response, reply, { turn, stream: parsed.stream, size: body.length, gates });
}

function record(
  requests: RecordedRequest[],
  request: IncomingMessage,
  path: string,
  facts: Pick<RecordedRequest, 'model' | 'messages' | 'scenario' | 'prompt' | 'key'>,
): void {
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  requests.push({
    method: request.method ?? '',
    path,
    apiKey: headers['x-api-key'],
    authorization: headers['authorization'],
    headers,
    ...facts,
    prompt: facts.prompt?.slice(0, 2000),
  });
  if (requests.length > requestsKept) requests.shift();
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBytes) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

interface Sending {
  readonly turn: Turn;
  readonly stream: boolean;
  readonly size: number;
  readonly gates: Gates;
}

async function send(response: ServerResponse, reply: Reply, to: Sending): Promise<void> {
  if (reply.kind === 'cut') {
    response.socket?.destroy();
    return;
  }
  if (reply.kind === 'error') {
    for (const [name, value] of Object.entries(reply.headers)) response.setHeader(name, value);
    return json(response, reply.status, errorBody(reply.type, reply.message));
  }
  const written = JSON.stringify(reply.blocks).length;
  const message: Answer = {
    model: to.turn.model,
    blocks: reply.blocks,
    stopReason: reply.stopReason ?? 'end_turn',
    // About four characters a token, so that numbers look like what they stand for.
    usage: {
      input_tokens: Math.ceil(to.size / 4),
      output_tokens: Math.max(1, Math.ceil(written / 4)),
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      ...reply.usage,
    },
  };
  const left = new AbortController();
  response.once('close', () => left.abort());
  await deliver(response, message, reply.delivery ?? {}, to, left.signal);
}

async function deliver(response: ServerResponse, message: Answer, how: Delivery, to: Sending, signal: AbortSignal): Promise<void> {
  if (how.delayMs !== undefined && how.delayMs > 0) await sleep(how.delayMs, undefined, { signal });
  if (how.waitFor !== undefined && (how.waitAfterEvents === undefined || !to.stream)) await to.gates.wait(how.waitFor, signal);
  if (!to.stream) {
    if (how.cutAfterEvents !== undefined) response.socket?.destroy();
    else if (how.errorAfterEvents !== undefined) json(response, 529, errorBody('overloaded_error', 'Overloaded'));
    else json(response, 200, wholeMessage(message));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.flushHeaders();
  let sent = 0;
  for (const event of messageEvents(message, how.pieces ?? 4)) {
    if (sent === how.cutAfterEvents) {
      response.socket?.destroy();
      return;
    }
    if (sent === how.errorAfterEvents) {
      response.end(sse({ ...errorBody('overloaded_error', 'Overloaded'), type: 'error' }));
      return;
    }
    if (sent === how.waitAfterEvents && how.waitFor !== undefined) await to.gates.wait(how.waitFor, signal);
    if (!response.write(sse(event))) await once(response, 'drain', { signal });
    if (event.type === 'content_block_delta' && how.gapMs !== undefined && how.gapMs > 0) await sleep(how.gapMs, undefined, { signal });
    sent += 1;
  }
  response.end();
}

function json(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
