import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { guestPorts } from '@citb/api';

/** The host's addresses for its boxes: loopback, so no other machine can come to them. 127.64.0.0/10 has 4 million. */
const first = 0x7f_40_00_01;
const count = 0x3f_ff_fe;

export interface Addresses {
  /**
   * `preferred` when it is free, else the next that is not in `taken` and on which no other process of this machine listens.
   * @throws when there is none left
   */
  take(preferred: string | undefined, taken: ReadonlySet<string>): Promise<string>;
}

/**
 * @param dataDir says where it begins to look: two daemons of a machine that looked at the same place at once would find the same
 * address to be free
 * @param ports of the guest that are forwarded from the box's address
 */
export function createAddresses(dataDir: string, ports: readonly number[] = Object.values(guestPorts)): Addresses {
  // The first of 256 in a row.
  const begin = createHash('sha256').update(dataDir).digest().readUInt32BE() & 0x3f_ff_00;
  return {
    take: async (preferred, taken) => {
      if (preferred !== undefined && !taken.has(preferred) && (await isFree(preferred, ports))) return preferred;
      for (let index = 0; index < count; index++) {
        const address = textOf(first + ((begin + index) % count));
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
