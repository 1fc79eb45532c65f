import { createInterface } from 'node:readline';
import type { DoubleGuest } from './guest.ts';

/** The machine of the contract suite: see `VmmSubject`. */
export function serve(guest: DoubleGuest): void {
  const react: Readonly<Record<string, (rest: string) => string>> = {
    ping: () => 'pong',
    set: (word) => {
      guest.memory['word'] = word;
      return 'ok';
    },
    get: () => String(guest.memory['word']),
    say: (words) => {
      guest.print(`${words}\n`);
      return 'ok';
    },
    flood: () => {
      setInterval(() => guest.print('flood '.repeat(10_000)), 1);
      return 'ok';
    },
    deaf: () => {
      guest.onPowerButton(() => {});
      return 'ok';
    },
    off: () => {
      guest.powerOff();
      return '';
    },
  };
  guest.print('up\n');
  for (const port of guest.ports) {
    guest.listen(port, (socket) => {
      createInterface(socket).once('line', (line) => {
        const [verb = '', ...rest] = line.split(' ');
        socket.end(react[verb]?.(rest.join(' ')) ?? 'what?');
      });
    });
  }
}
