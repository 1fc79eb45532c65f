import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { type GuestInit, guestNetwork } from '@citb/api';
import { setClock } from './clock.ts';
import { resetConnections } from './connections.ts';
import { systemCalls } from './system-calls.ts';

type Identity = NonNullable<GuestInit['identity']>;

/** RNDRESEEDCRNG of random(4). */
const reseed = 0x5207n;

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
    const file = openSync('/dev/urandom', 'w');
    try {
      writeSync(file, Buffer.from(entropy, 'base64'));
      // Written bytes are used from the next minute's seed on, or at once when that is asked for.
      system?.ioctl(file, reseed);
    } finally {
      closeSync(file);
    }
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
