import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, guestInit, limits } from '@citb/api';
import { toApiError } from '@citb/daemon';
import type { Envd } from './context.ts';

/**
 * `POST /init`: the hand-over from the host. The answer comes when everything of it holds.
 *
 * A clone answers nothing before this, so it is what a new box waits for: it goes by node's own request, because what else there
 * is on the way (web streams, routing) costs an emulated clone a quarter of a second the first time.
 */
export async function answerInit(envd: Pick<Envd, 'session' | 'machine' | 'log'>, request: IncomingMessage, response: ServerResponse) {
  try {
    await accept(envd, request);
    response.writeHead(204).end();
  } catch (error) {
    const fault = toApiError(error);
    if (fault.status >= 500) envd.log.error({ err: error }, 'the hand-over failed');
    response.writeHead(fault.status, { 'Content-Type': 'application/json' }).end(JSON.stringify(fault.body('req_init')));
  }
}

async function accept({ session, machine, log }: Pick<Envd, 'session' | 'machine' | 'log'>, request: IncomingMessage): Promise<void> {
  const received = performance.now();
  if (request.method !== 'POST') throw new ApiError('not_found', 'POST to it.');
  const init = guestInit.parse(await bodyOf(request));
  const token = request.headers['x-access-token'];
  const before = session.init;
  session.accept(init, typeof token === 'string' ? token : undefined);
  // Entropy first: all that is drawn from now on must differ from what a clone of the same memory draws.
  if (init.entropy !== undefined) await machine.addEntropy(init.entropy);
  if (init.timestamp !== undefined) await machine.setClock(Date.parse(init.timestamp) + (performance.now() - received));
  // After a wake it is who it was.
  if (init.identity !== undefined && init.identity.boxId !== before?.identity?.boxId) machine.setIdentity(init.identity);
  // Another incarnation with the memory of this one: what was open leads nowhere any more.
  const reset = before === undefined || before.lifecycleID === init.lifecycleID ? 0 : await machine.resetConnections();
  log.info({ reset, box: init.identity?.boxId, run: init.lifecycleID }, 'initialised');
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limits.jsonBodyBytes) throw new ApiError('body_too_large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new ApiError('invalid_json', undefined, { cause });
  }
}
