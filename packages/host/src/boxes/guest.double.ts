import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { DoubleGuest } from '../vmm/double/guest.ts';

/** A machine in which something says yes like envd does, and `/word` tells what has been in its memory since it was booted. */
export function serve(guest: DoubleGuest): void {
  guest.memory['word'] ??= randomUUID();
  const server = createServer((request, response) => {
    const word = request.url === '/word' ? String(guest.memory['word']) : undefined;
    request.resume().on('end', () => response.writeHead(word === undefined ? 204 : 200).end(word));
  });
  for (const port of guest.ports) guest.listen(port, (socket) => server.emit('connection', socket));
}
