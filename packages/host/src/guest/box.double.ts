import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { ApiError, guestPorts } from '@citb/api';
import type { Asleep, BoxAccess, LiveBox } from '../boxes/access.ts';
import type { Vm, VmExit } from '../vmm/vmm.ts';

/** Where a test's servers listen on loopback, for each port of the guest. */
export type Ports = Partial<Record<keyof typeof guestPorts, number>>;

/** Boxes for tests: their guests are servers of this process, their machines are nothing but a way to connect to these. */
export class BoxDoubles implements BoxAccess {
  readonly notes: string[] = [];
  /** Boxes in which something goes on, once for each thing. */
  readonly inUse: string[] = [];
  /** Set: boxes were put to sleep until it resolves. */
  asleep: Promise<void> | undefined;
  /** What `awake` does with a box whose machine is gone. */
  revive: (boxId: string) => Promise<LiveBox> = async () => {
    throw new ApiError('box_failed');
  };
  readonly #live = new Map<string, { box: LiveBox; end: () => void }>();
  readonly #known = new Set<string>();
  readonly #asleep = new WeakMap<LiveBox, Asleep>();
  readonly #started = new Set<(box: LiveBox) => void>();
  readonly #lost = new Set<(box: LiveBox) => void>();
  readonly #killed = new Set<(boxId: string) => Promise<void> | void>();

  /** A new run of a box. */
  start(id: string, ports: Ports, accessToken: string, agent = true): LiveBox {
    const { vm, end } = machine(ports);
    const box: LiveBox = { id, runId: vm.record.runId, runtime: 'claude-agent', agent, vm, accessToken };
    this.#known.add(id);
    this.#live.set(id, { box, end });
    for (const listener of this.#started) listener(box);
    return box;
  }

  /** The machine of a box is gone, all its connections with it. @param asleep somebody put the box to sleep */
  lose(id: string, asleep?: Asleep): void {
    const live = this.#live.get(id);
    if (live !== undefined && asleep !== undefined) this.#asleep.set(live.box, asleep);
    this.#live.delete(id);
    live?.end();
    if (live !== undefined) for (const listener of this.#lost) listener(live.box);
  }

  async kill(id: string): Promise<void> {
    for (const listener of this.#killed) await listener(id);
    this.#live.get(id)?.end();
    this.#live.delete(id);
    this.#known.delete(id);
  }

  async awake(boxId: string): Promise<LiveBox> {
    if (!this.#known.has(boxId)) throw new ApiError('box_not_found');
    return this.#live.get(boxId)?.box ?? (await this.revive(boxId));
  }

  use(boxId: string): Disposable {
    this.inUse.push(boxId);
    return { [Symbol.dispose]: () => void this.inUse.splice(this.inUse.indexOf(boxId), 1) };
  }

  async wanted(_boxId: string, signal: AbortSignal): Promise<void> {
    if (this.asleep === undefined || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => resolve(), { once: true });
    void this.asleep.then(resolve);
    await promise;
  }

  wentToSleep(box: LiveBox): Asleep | undefined {
    return this.#asleep.get(box);
  }

  ifRunning(boxId: string): LiveBox | undefined {
    return this.#live.get(boxId)?.box;
  }

  onStarted(listener: (box: LiveBox) => void): () => void {
    this.#started.add(listener);
    return () => this.#started.delete(listener);
  }

  onLost(listener: (box: LiveBox) => void): () => void {
    this.#lost.add(listener);
    return () => this.#lost.delete(listener);
  }

  onKilled(listener: (boxId: string) => Promise<void> | void): () => void {
    this.#killed.add(listener);
    return () => this.#killed.delete(listener);
  }

  note(_boxId: string, line: string): void {
    this.notes.push(line);
  }
}

function machine(ports: Ports): { vm: Vm; end: () => void } {
  const { promise: exited, resolve } = Promise.withResolvers<VmExit>();
  const sockets = new Set<Socket>();
  const byGuestPort = new Map(Object.entries(ports).map(([name, port]) => [guestPorts[name as keyof typeof guestPorts], port]));
  let gone = false;
  const runId = `run_${randomBytes(8).toString('hex')}`;
  const vm: Vm = {
    record: { driver: 'double', runId, folder: '/nowhere', pid: 1, startTime: '0', bootId: '0' },
    exited,
    async dial(guestPort, signal) {
      const port = byGuestPort.get(guestPort as 49983);
      if (gone || port === undefined) throw Object.assign(new Error('nobody listens'), { code: 'ECONNREFUSED' });
      const socket = connect(port, '127.0.0.1');
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      await once(socket, 'connect', signal === undefined ? {} : { signal });
      return socket;
    },
    pause: unused,
    resume: unused,
    snapshot: unused,
    stop: unused,
    kill: unused,
    console: () => '',
    onConsole: () => () => undefined,
    memoryUsed: async () => 0,
  };
  return {
    vm,
    end() {
      gone = true;
      for (const socket of sockets) socket.destroy();
      resolve({ code: undefined, signal: 'SIGKILL', expected: false });
    },
  };
}

function unused(): never {
  throw new Error('not part of the double');
}
