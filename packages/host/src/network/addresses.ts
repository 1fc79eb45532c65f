import { once } from 'node:events';
import { createServer } from 'node:net';
import { guestPorts } from '@citb/api';

/** The host's addresses for its boxes: loopback, so no other machine can come to them. 127.64.0.0/10 has 4 million. */
const first = 0x7f_40_00_01;
const last = 0x7f_7f_ff_fe;

export interface Addresses {
  /**
   * `preferred` when it is free, else the lowest that is not in `taken` and on which no other process of this machine listens.
   * @throws when there is none left
   */
  take(preferred: string | undefined, taken: ReadonlySet<string>): Promise<string>;
}

/** @param ports of the guest that are forwarded from the box's address */
export function createAddresses(ports: readonly number[] = Object.values(guestPorts)): Addresses {
  return {
    take: async (preferred, taken) => {
      if (preferred !== undefined && !taken.has(preferred) && (await isFree(preferred, ports))) return preferred;
      for (let number = first; number <= last; number++) {
        const address = textOf(number);
        if (!taken.has(address) && (await isFree(address, ports))) return address;
      }
      throw new Error('all addresses for boxes are taken');
    },
  };
}

function textOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
}

/** Another host daemon on this machine has boxes in the same range; the kernel knows which. */
async function isFree(address: string, ports: readonly number[]): Promise<boolean> {
  for (const port of ports) {
    const server = createServer();
    server.listen({ host: address, port, exclusive: true });
    try {
      await once(server, 'listening');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
      throw error;
    }
    server.close();
    await once(server, 'close');
  }
  return true;
}
