import type { Server } from 'node:http';
import { flushCompileCache } from 'node:module';
import { type Socket } from 'node:net';
import { join } from 'node:path';
import { ApiError } from '@citb/api/errors.ts';
import type { DoubleGuest } from '@citb/host/vmm/double/guest.ts';
import type { GuestInit } from '@citb/api';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { type Agent, startAgent } from './agent.ts';
import { type Answer, guestServer, type Question } from './answers.ts';
import { processService } from './commands.ts';
import { RecordDisk } from './disk.ts';
import { GuestState } from './state.ts';
import { workspace } from './workspace.ts';

/** Init starts again what was killed after so long, ms; in a real box it is a second. */
export const respawnMs = 100;

/**
 * A box of the double: envd and the agent server over one file as disk. Its memory has the box's token, the word it was told to
 * remember, and that it was up; so a machine that was restored goes on where it was, and one that is booted has nothing but its disk.
 */
export function serve(guest: DoubleGuest): void {
  const { folder, memory, ports } = guest;
  const state = new GuestState(new RecordDisk(join(folder, 'disk.img')));
  const token = (): string => (typeof memory['token'] === 'string' ? memory['token'] : '');
  const processes = connectNodeAdapter({ routes: (router) => processService(router, { state, memory, kill }) });
  let agent: Agent | undefined = startAgent(state, token, memory['up'] === true);
  memory['up'] = true;
  // It will hardly come to an orderly end, at which this would be written.
  flushCompileCache();

  const envd = guestServer(answerOf);
  const processServer = envd.listeners('request').at(0);
  envd.removeAllListeners('request');
  envd.on('request', (request, response) => {
    if (request.url?.startsWith('/process.') !== true) processServer?.call(envd, request, response);
    else if (request.headers['x-access-token'] === token()) processes(request, response);
    else response.writeHead(401).end();
  });
  const agentServer = guestServer((question, response) => {
    if (agent === undefined) throw new ApiError('box_unreachable');
    return agent.service(question, response);
  });
  const down = new Set<Server>();
  const connections = new Map<Server, Set<Socket>>([
    [envd, new Set()],
    [agentServer, new Set()],
  ]);
  for (const [index, server] of [envd, agentServer].entries())
    guest.listen(ports[index] ?? 0, (socket) => {
      if (down.has(server)) {
        socket.resetAndDestroy();
        return;
      }
      connections.get(server)?.add(socket);
      socket.once('close', () => connections.get(server)?.delete(socket));
      server.emit('connection', socket);
    });

  function kill(service: 'envd' | 'agent'): void {
    const server = service === 'envd' ? envd : agentServer;
    // What is dead is started once.
    if (down.has(server)) return;
    down.add(server);
    for (const socket of connections.get(server) ?? []) socket.resetAndDestroy();
    if (service === 'agent') {
      agent?.stop();
      agent = undefined;
    }
    setTimeout(() => {
      if (service === 'agent') agent = startAgent(state, token, false);
      down.delete(server);
    }, respawnMs);
  }

  function answerOf(question: Question): Answer {
    if (question.path === '/health') return { status: 204 };
    // The first one to come sets the token, later ones need it.
    if (token() !== '' && question.token !== token()) throw new ApiError('unauthorized');
    if (question.path === '/init') {
      memory['token'] = (JSON.parse(question.body.toString()) as GuestInit).accessToken;
      return { status: 204 };
    }
    if (question.path === '/flush' || question.path === '/clock') return { status: 204 };
    return workspace(state, question);
  }
}
