import type { IncomingMessage, ServerResponse } from 'node:http';
import { agentCheckpointPath, ApiError, type checkpointMade, checkpointRequest } from '@citb/api';
import type { z } from 'zod';
import { printable } from '../hostinfo/line-splitter.ts';
import { refusals, refuse } from './refusal.ts';

/** What the host itself does for a box that asks through its one way out. The box is known by its socket. */
export interface OwnRequests {
  /** @param name harmless text @throws ApiError */
  checkpoint(boxId: string, name: string): Promise<z.output<typeof checkpointMade>>;
}

/** A name has at most 200 characters. */
const maxBodyBytes = 4096;

/** Answers a request that is for the host; false: it is for the model. Never throws. */
export function answerOwn(own: OwnRequests | undefined, boxId: string, request: IncomingMessage, response: ServerResponse): boolean {
  if (own === undefined || request.method !== 'POST' || request.url !== agentCheckpointPath) return false;
  void checkpoint(own, boxId, request, response);
  return true;
}

async function checkpoint(own: OwnRequests, boxId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const wish = checkpointRequest.safeParse(await readBody(request));
    if (!wish.success) return refuse(response, { status: 400, type: 'invalid_request_error', message: 'Send {"name": "…"}.' });
    const { id, name } = await own.checkpoint(boxId, printable(wish.data.name).trim());
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ id, name }));
  } catch (error) {
    if (error instanceof ApiError) refuse(response, { status: error.status, type: 'api_error', message: error.message });
    else refuse(response, refusals.broken);
  }
}

/** @returns undefined when it is too large or no JSON */
async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
}
