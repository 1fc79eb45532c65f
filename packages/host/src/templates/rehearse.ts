import { fileEntry, fileListing } from '@citb/api';
import { Readable } from 'node:stream';
import type { GuestClients } from '../guest/clients.ts';
import { exec } from '../processes/exec.ts';
import type { Rehearsal } from './build.ts';

/**
 * What most boxes are asked for first: a file, a list, a command. The guest then has read, compiled and linked what it takes, and
 * a clone has that in its memory.
 */
export function rehearsal(clients: GuestClients): Rehearsal {
  return async (box, signal) => {
    const envd = clients.envd(box);
    const path = '.citb-rehearsal';
    const body = { stream: Readable.from([Buffer.from('rehearsal')]), size: 9 };
    await envd.json({ method: 'PUT', path: '/workspace/file', query: { path }, body, signal }, fileEntry);
    await envd.json({ method: 'GET', path: '/workspace/list', query: { path: '', recursive: true, limit: 10 }, signal }, fileListing);
    const file = await envd.open({ method: 'GET', path: '/workspace/file', query: { path }, signal });
    await file.body.forEach(() => undefined);
    await envd.done({ method: 'DELETE', path: '/workspace/entry', query: { path, recursive: false }, signal });
    const command = { command: 'true', env: {}, keepStdin: false };
    for await (const event of exec(clients.processes(box), command, signal)) if (event.type === 'exit') break;
  };
}
