import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { GuestInit } from '@citb/api';

type Identity = NonNullable<GuestInit['identity']>;

/** What `/init` changes of the machine itself. */
export interface Machine {
  /** Sets the wall clock. @param now milliseconds since the epoch, right at this moment */
  setClock(now: number): Promise<void>;
  setIdentity(identity: Identity): Promise<void>;
  /** Stirs random bytes into the kernel's pool. @param entropy base64 */
  addEntropy(entropy: string): Promise<void>;
}

/** A clock that is this little off is left alone, in ms: setting it takes a process. */
const clockToleranceMs = 50;

/** The guest that envd is the daemon of. Needs root. */
export const guestMachine: Machine = {
  async setClock(now) {
    const asked = performance.now();
    const current = (): number => now + (performance.now() - asked);
    // Starting date(1) takes up to seconds in an emulated guest that just booted: what it came too late by is added the next time.
    let late = 0;
    for (let tries = 0; tries < 4 && Math.abs(Date.now() - current()) > clockToleranceMs; tries++) {
      const wanted = current() + late;
      // GNU's date takes fractions, busybox's only whole seconds.
      if (!(await setDate((wanted / 1000).toFixed(3))) && !(await setDate(String(Math.round(wanted / 1000)))))
        throw new Error('date(1) could not set the clock');
      late += current() - Date.now();
    }
  },

  async setIdentity({ hostname, machineId }) {
    await writeFile('/proc/sys/kernel/hostname', hostname);
    await writeFile('/etc/hostname', `${hostname}\n`);
    await writeFile('/etc/machine-id', `${machineId}\n`);
    // sudo looks its own host up and waits for a name server when this line is missing.
    const hosts = await readFile('/etc/hosts', 'utf8').catch(() => '127.0.0.1 localhost\n');
    const kept = hosts.split('\n').filter((line) => line !== '' && !line.startsWith('127.0.1.1'));
    await writeFile('/etc/hosts', [...kept, `127.0.1.1 ${hostname}`, ''].join('\n'));
  },

  async addEntropy(entropy) {
    // Mixed in at once and used by what is drawn next. (Crediting it too would take an ioctl, which Node does not have.)
    await writeFile('/dev/urandom', Buffer.from(entropy, 'base64'));
  },
};

/** Leaves the machine as it is: for envd as an ordinary process on a developer's machine. */
export const untouchedMachine: Machine = {
  setClock: () => Promise.resolve(),
  setIdentity: () => Promise.resolve(),
  addEntropy: () => Promise.resolve(),
};

async function setDate(seconds: string): Promise<boolean> {
  const date = spawn('date', ['-s', `@${seconds}`], { stdio: 'ignore' });
  try {
    const [code] = await once(date, 'exit');
    return code === 0;
  } catch {
    return false;
  }
}
