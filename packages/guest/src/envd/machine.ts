import { existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { type GuestInit, guestNetwork } from '@citb/api';
import { setClock } from './clock.ts';
import { resetConnections } from './connections.ts';
import { systemCalls } from './system-calls.ts';

type Identity = NonNullable<GuestInit['identity']>;

/** RNDADDENTROPY and RNDRESEEDCRNG of random(4). */
const [addEntropy, reseed] = [0x40085203n, 0x5207n];
/** /dev/urandom, opened once: a clone has it open already. */
let random: number | undefined;

/** What `/init` changes of the machine itself. */
export interface Machine {
  /** Sets the wall clock. @param now milliseconds since the epoch, right at this moment */
  setClock(now: number): Promise<void>;
  setIdentity(identity: Identity): void;
  /** Stirs random bytes into the kernel's pool. @param entropy base64 */
  addEntropy(entropy: string): Promise<void>;
  /** Ends the connections to the broker that were open when this machine was saved: see {@link resetConnections}. @returns how many */
  resetConnections(): Promise<number>;
}

/**
 * The guest that envd is the daemon of. Needs root. Files are written at once and not by way of the thread pool: these few
 * take microseconds, but waking its threads takes an emulated clone tens of milliseconds.
 */
export const guestMachine: Machine = {
  setClock,

  setIdentity({ hostname, machineId }) {
    writeFileSync('/proc/sys/kernel/hostname', hostname);
    writeFileSync('/etc/hostname', `${hostname}\n`);
    writeFileSync('/etc/machine-id', `${machineId}\n`);
    // sudo looks its own host up and waits for a name server when this line is missing.
    const hosts = existsSync('/etc/hosts') ? readFileSync('/etc/hosts', 'utf8') : '127.0.0.1 localhost\n';
    const kept = hosts.split('\n').filter((line) => line !== '' && !line.startsWith('127.0.1.1'));
    writeFileSync('/etc/hosts', [...kept, `127.0.1.1 ${hostname}`, ''].join('\n'));
  },

  async addEntropy(entropy) {
    const system = await systemCalls();
    random ??= openSync('/dev/urandom', 'w');
    const bytes = Buffer.from(entropy, 'base64');
    if (system === undefined) {
      writeSync(random, bytes);
      return;
    }
    // struct rand_pool_info: bits of entropy, bytes that follow.
    const info = Buffer.alloc(8);
    info.writeInt32LE(bytes.length * 8, 0);
    info.writeInt32LE(bytes.length, 4);
    // They are used from the next minute's seed on, or at once when that is asked for.
    const [added, seeded] = [system.ioctl(random, addEntropy, Buffer.concat([info, bytes])), system.ioctl(random, reseed, info)];
    if (added !== 0 || seeded !== 0) throw new Error('the kernel does not take the entropy');
  },

  resetConnections: () => resetConnections({ address: guestNetwork.broker, port: guestNetwork.brokerPort }),
};

/** Leaves the machine as it is: for envd as an ordinary process on a developer's machine. */
export const untouchedMachine: Machine = {
  setClock: () => Promise.resolve(),
  setIdentity: () => {},
  addEntropy: () => Promise.resolve(),
  resetConnections: () => Promise.resolve(0),
};
