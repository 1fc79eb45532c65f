import { createServer } from 'node:http';
import type { DoubleGuest } from './guest.ts';

/** The machine that is used when no other is given: `/health` answers 204 on every port, all else 404. */
export function serve(guest: DoubleGuest): void {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/health' ? 204 : 404).end();
  });
  for (const port of guest.ports) guest.listen(port, (socket) => server.emit('connection', socket));
  guest.print('up\n');
}
