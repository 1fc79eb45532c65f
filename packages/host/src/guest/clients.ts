import { guestPorts, guestUser, type GuestInit } from '@citb/api';
import type { Pool } from 'undici';
import type { LiveBox } from '../boxes/access.ts';
import type { Vm } from '../vmm/vmm.ts';
import { processClient, type ProcessClient } from './connect.ts';
import { guestServer, type GuestServer } from './server.ts';
import { initialise, waitForAgent, waitForEnvd, waitUntilParked, type WaitOptions } from './init.ts';
import { guestPool } from './pool.ts';

/** How the host speaks with what runs in boxes. */
export interface GuestClients {
  envd(box: LiveBox): GuestServer;
  agent(box: LiveBox): GuestServer;
  /** @param user whom commands run as; `user` when left out */
  processes(box: LiveBox, user?: string): ProcessClient;

  // For bringing a box up, when there is no LiveBox yet.
  /** @throws box_unreachable */
  waitForEnvd(vm: Vm, options: WaitOptions): Promise<void>;
  /** `token`: the one that the guest has, or (fresh boot) is to get. @throws box_unreachable */
  initialise(vm: Vm, token: string, init: GuestInit, signal?: AbortSignal): Promise<void>;
  /** @throws box_unreachable */
  flush(vm: Vm, token: string, signal: AbortSignal): Promise<void>;
  /** @throws box_unreachable */
  waitForAgent(vm: Vm, token: string, options: WaitOptions): Promise<void>;
  /** @throws box_unreachable */
  waitUntilParked(vm: Vm, token: string, options: WaitOptions): Promise<void>;

  /** Cuts all connections. */
  close(): Promise<void>;
}

type Port = keyof typeof guestPorts;

/** One pool of connections for each port of each VM (so for each run of a box); cut when the VM is gone. */
export function createGuestClients(): GuestClients {
  const pools = new Map<Vm, Map<Port, Pool>>();

  function pool(vm: Vm, port: Port): Pool {
    let ports = pools.get(vm);
    if (ports === undefined) {
      ports = new Map();
      pools.set(vm, ports);
      void vm.exited.then(() => cut(vm));
    }
    let found = ports.get(port);
    if (found === undefined) {
      found = guestPool(vm, guestPorts[port]);
      ports.set(port, found);
    }
    return found;
  }

  async function cut(vm: Vm): Promise<void> {
    const ports = pools.get(vm);
    pools.delete(vm);
    await Promise.all([...(ports?.values() ?? [])].map((each) => each.destroy()));
  }

  return {
    envd: (box) => guestServer(pool(box.vm, 'envd'), box.accessToken),
    agent: (box) => guestServer(pool(box.vm, 'agent'), box.accessToken),
    processes: (box, user = guestUser.name) => processClient(pool(box.vm, 'envd'), box.accessToken, user),
    waitForEnvd: (vm, options) => waitForEnvd(guestServer(pool(vm, 'envd'), ''), options),
    initialise: (vm, token, init, signal) => initialise(guestServer(pool(vm, 'envd'), token), init, signal),
    flush: (vm, token, signal) => guestServer(pool(vm, 'envd'), token).done({ method: 'POST', path: '/flush', signal }),
    waitForAgent: (vm, token, options) => waitForAgent(guestServer(pool(vm, 'agent'), token), options),
    waitUntilParked: (vm, token, options) => waitUntilParked(guestServer(pool(vm, 'agent'), token), options),
    async close() {
      await Promise.all([...pools.keys()].map(cut));
    },
  };
}
