import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, type GuestInit, guestInit, limits } from '@citb/api';
import { toApiError } from '@citb/daemon';
import type { Envd } from './context.ts';

/**
 * `POST /init`: the hand-over from the host. When it is answered, the token is the box's, its clock is right and its randomness its own.
 * Host name and machine-id are written right after the answer has left: nobody can ask for them before envd is done with this call.
 *
 * A clone answers nothing before this, so it is what a new box waits for: it goes by node's own request, because what else there
 * is on the way (web streams, routing) costs an emulated clone a quarter of a second the first time, and each file tens of milliseconds.
 */
export async function answerInit(envd: Pick<Envd, 'session' | 'machine' | 'log'>, request: IncomingMessage, response: ServerResponse) {
  const { session, machine, log } = envd;
  try {
    const { init, isNewIdentity, reset } = await accept(envd, request);
    // Before the answer: an envd that is killed after it must know its box, and so must the agent server, which is asked next.
    session.save();
    response.writeHead(204).end();
    // An envd that is killed before this does it at its start.
    if (init.identity !== undefined && isNewIdentity) machine.setIdentity(init.identity);
    log.info({ reset, box: init.identity?.boxId, run: init.lifecycleID }, 'initialised');
  } catch (error) {
    const fault = toApiError(error);
    if (fault.status >= 500) log.error({ err: error }, 'the hand-over failed');
    if (!response.headersSent)
      response.writeHead(fault.status, { 'Content-Type': 'application/json' }).end(JSON.stringify(fault.body('req_init')));
  }
}

interface Accepted {
  readonly init: GuestInit;
  /** After a wake it is who it was. */
  readonly isNewIdentity: boolean;
  /** How many connections were reset. */
  readonly reset: number;
}

async function accept({ session, machine }: Pick<Envd, 'session' | 'machine'>, request: IncomingMessage): Promise<Accepted> {
  const received = performance.now();
  if (request.method !== 'POST') throw new ApiError('not_found', 'POST to it.');
  const init = guestInit.parse(await bodyOf(request));
  const token = request.headers['x-access-token'];
  const before = session.init;
  session.accept(init, typeof token === 'string' ? token : undefined);
  // Entropy first: all that is drawn from now on must differ from what a clone of the same memory draws.
  if (init.entropy !== undefined) await machine.addEntropy(init.entropy);
  if (init.timestamp !== undefined) await machine.setClock(Date.parse(init.timestamp) + (performance.now() - received));
  // Another incarnation with the memory of this one: what was open leads nowhere any more.
  const isSame = before === undefined || before.lifecycleID === init.lifecycleID;
  const reset = isSame || init.openConnections === 0 ? 0 : await machine.resetConnections();
  return { init, isNewIdentity: init.identity?.boxId !== before?.identity?.boxId, reset };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const bytes = await bytesOf(request);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new ApiError('invalid_json', undefined, { cause });
  }
}

/** By events: an asynchronous iterator costs an emulated clone tens of milliseconds. @throws body_too_large */
function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > limits.jsonBodyBytes) reject(new ApiError('body_too_large'));
    else chunks.push(chunk);
  });
  request.once('end', () => resolve(Buffer.concat(chunks)));
  request.once('close', () => reject(new Error('the call ended before its body')));
  return promise;
}
