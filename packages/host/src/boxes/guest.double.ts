import { createServer } from 'node:http';
import type { DoubleGuest } from '../vmm/double/guest.ts';

/** A machine in which something says yes like envd does. */
export function serve(guest: DoubleGuest): void {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(204).end());
  });
  for (const port of guest.ports) guest.listen(port, (socket) => server.emit('connection', socket));
}
