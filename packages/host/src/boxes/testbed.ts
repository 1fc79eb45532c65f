import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GuestInit } from '@citb/api';
import { createLog } from '@citb/daemon';
import type { BootImage } from '@citb/images';
import { BoxLogs } from '../hostinfo/box-logs.ts';
import { Idempotency } from '../idempotency.ts';
import { SealedModelKeys } from '../keys/model-keys.ts';
import { Seal } from '../keys/sealed.ts';
import { Store } from '../store.ts';
import type { Vm, VmExit, Vmm, VmRecord, VmSpec } from '../vmm/vmm.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import { BoxRows } from './rows.ts';
import { AddressBook } from './address-book.ts';
import { noTemplates } from '../templates/templates.ts';
import { BootSlots } from './boot-slots.ts';
import { type BoxesModule, type BoxesOptions, createBoxes } from './boxes.ts';

/**
 * A machine room in memory for the tests of boxes: what outlives a host daemon (machines, disks, the database) lives here, and
 * daemons come and go. Each step of a daemon can be made to fail, to wait, or to never return, which is what a daemon that was
 * killed with -9 at that point looks like to the next one.
 */
export class Testbed implements Disposable {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'citb-boxes-'));
  readonly store = new Store(':memory:');
  readonly seal = new Seal('ab'.repeat(32));
  readonly machines = new Map<string, Machine>();
  /** Names of the steps that were taken, in order. */
  readonly steps: string[] = [];
  /** Called at each step; may throw or wait. */
  atStep: (name: string) => Promise<void> | void = () => {};
  now = 1_700_000_000_000;
  /** Connections that each box has open to its broker. */
  connections = 0;
  #pids = 1000;

  /** A host daemon on this machine room. */
  daemon(options: { limits?: Partial<AdmissionLimits>; bootSlots?: number; hostKey?: string } = {}): Daemon {
    const now = (): number => this.now;
    const step = async (name: string): Promise<void> => {
      this.steps.push(name);
      await this.atStep(name);
    };
    const modelKeys = new SealedModelKeys(this.store, this.seal, options.hostKey);
    const sockets = new Set<string>();
    const rows = new BoxRows(this.store, this.seal, now);
    const parts: BoxesOptions = {
      rows,
      vmm: this.#vmm(step),
      images: {
        runtimes: async () => ['claude-agent', 'bash'],
        peek: async () => undefined,
        prune: async () => [],
        get: (runtime) => image(runtime, step),
      },
      disks: {
        create: async (path) => {
          await step('disk');
          if (!existsSync(path)) writeFileSync(path, 'empty');
          await step('disk made');
        },
        copy: async (from, path) => {
          await step('disk copy');
          if (!existsSync(path)) copyFileSync(from, path);
          await step('disk copied');
        },
      },
      addresses: new AddressBook({
        take: async (preferred, taken) =>
          preferred ?? Array.from({ length: 100 }, (_, n) => `127.64.0.${n + 1}`).find((address) => !taken.has(address)) ?? 'none',
      }),
      templates: noTemplates,
      broker: {
        open: async (id) => {
          await step('broker');
          sockets.add(id);
        },
        connections: async (id) => (sockets.has(id) ? this.connections : 0),
        close: async (id) => {
          const open = sockets.delete(id);
          await step('broker closed');
          return open ? this.connections : 0;
        },
      },
      guest: {
        waitForEnvd: async (_vm, { signal }) => {
          await step('envd');
          signal?.throwIfAborted();
        },
        initialise: async (vm, _token, init) => {
          await step('init');
          this.machine(vm.record.runId).init = init;
        },
        flush: () => step('flush'),
        waitForAgent: () => step('agent'),
        waitUntilParked: () => step('parked'),
      },
      admission: new Admission({ memoryMib: 100_000, maxBoxes: 100, diskReserveMib: 0, ...options.limits }, this.dataDir),
      bootSlots: new BootSlots(options.bootSlots ?? 2),
      idempotency: new Idempotency(this.store, this.seal, now),
      modelKeys,
      logs: new BoxLogs(this.store, now),
      log: createLog('test', 'silent'),
      settings: { dataDir: this.dataDir, diskMib: 5120, model: 'claude-test', startDeadlineMs: 60_000, idleS: 0 },
      cpuTime: ({ runId }) => this.machines.get(runId)?.cpuMs,
      now,
    };
    const eventsOf = (boxId: string): ReturnType<Daemon['eventsOf']> =>
      this.store.db
        .prepare('SELECT type, content FROM box_events WHERE box_id = ? ORDER BY seq')
        .all(boxId)
        .map(({ type, content }) => ({ type: String(type), content: JSON.parse(String(content)) as Record<string, unknown> }));
    return { ...createBoxes(parts), rows, committedMib: () => parts.admission.committedMib, eventsOf, modelKeys, sockets };
  }

  machine(runId: string): Machine {
    const found = this.machines.get(runId);
    if (found === undefined) throw new Error(`no machine runs ${runId}`);
    return found;
  }

  [Symbol.dispose](): void {
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  #vmm(step: (name: string) => Promise<void>): Vmm {
    return {
      name: 'double',
      probe: async () => ({
        usable: true,
        version: '1',
        accelerator: 'double',
        reason: '',
        isolation: { uid: false, cgroup: 'none', seccomp: false },
      }),
      boot: async (spec) => {
        await step('boot');
        mkdirSync(spec.folder, { recursive: true });
        const machine = new Machine(spec, this.#pids++, () => this.machines.delete(spec.runId));
        this.machines.set(spec.runId, machine);
        await step('booted');
        return machine.vm(step);
      },
      restore: async (spec, snapshot, _signal, loaded) => {
        await step('restore');
        const memory = readFileSync(join(snapshot.folder, 'memory'), 'utf8');
        if (!memory.startsWith('memory of ')) throw new Error('the memory is damaged');
        const machine = new Machine(spec, this.#pids++, () => this.machines.delete(spec.runId));
        machine.memory = memory.slice('memory of '.length);
        machine.paused = true;
        this.machines.set(spec.runId, machine);
        await step('loaded');
        loaded?.(machine.record);
        await step('restored');
        machine.paused = false;
        return machine.vm(step);
      },
      adopt: async (_spec, record) => {
        await step('adopt');
        return this.machines.get(record.runId)?.vm(step);
      },
      list: async () => [...this.machines.values()].map((machine) => machine.record),
      sweep: async () => [],
      reap: async (record) => {
        await step('reap');
        this.machines.get(record.runId)?.end({ code: undefined, signal: 'SIGKILL', expected: true });
      },
    };
  }
}

export interface Daemon extends BoxesModule {
  readonly rows: BoxRows;
  /** Memory that is promised to boxes, MiB. */
  committedMib(): number;
  /** What has happened to a box so far. */
  eventsOf(boxId: string): { type: string; content: Record<string, unknown> }[];
  readonly modelKeys: SealedModelKeys;
  /** Boxes whose way out this daemon serves. */
  readonly sockets: ReadonlySet<string>;
}

/** A machine that runs, whatever becomes of the daemon that started it. */
export class Machine {
  readonly record: VmRecord;
  /** What the guest was given. */
  init: GuestInit | undefined;
  console = '';
  /** What a snapshot takes and a restored machine begins with. */
  memory: string;
  /** CPU time it says it has used. */
  cpuMs = 0;
  /** Its CPUs stand still. */
  paused = false;
  readonly #exited = Promise.withResolvers<VmExit>();
  readonly #gone: () => void;
  #over = false;

  constructor(spec: VmSpec, pid: number, gone: () => void) {
    this.memory = spec.runId;
    this.record = { driver: 'double', runId: spec.runId, folder: spec.folder, pid, startTime: '1', bootId: 'this-boot' };
    this.#gone = gone;
  }

  end(exit: VmExit): void {
    this.#over = true;
    this.#gone();
    this.#exited.resolve(exit);
  }

  crash(): void {
    this.end({ code: undefined, signal: 'SIGSEGV', expected: false });
  }

  vm(step: (name: string) => Promise<void>): Vm {
    return {
      record: this.record,
      exited: this.#exited.promise,
      dial: () => Promise.reject(new Error('not here')),
      pause: async () => {
        await step('vm pause');
        this.paused = true;
      },
      resume: async () => {
        await step('vm resume');
        if (this.#over) throw new Error('the machine is gone');
        this.paused = false;
      },
      snapshot: async (folder) => {
        await step('vm snapshot');
        if (!this.paused || this.#over) throw new Error('only a paused machine can be saved');
        writeFileSync(join(folder, 'memory'), `memory of ${this.memory}`);
        await step('vm saved');
        return { folder, key: 'double', machine: { cpus: 1, memoryMib: 256 } };
      },
      stop: async () => {
        await step('vm stop');
        this.end({ code: 0, signal: undefined, expected: true });
        await step('vm stopped');
      },
      kill: async () => {
        await step('vm kill');
        this.end({ code: 0, signal: undefined, expected: true });
        await step('vm killed');
      },
      console: () => this.console,
      onConsole: () => () => {},
      memoryUsed: async () => 1024 * 1024,
    };
  }
}

async function image(runtime: string, step: (name: string) => Promise<void>): Promise<BootImage> {
  await step('image');
  return {
    runtime,
    key: `key-of-${runtime}`,
    kernel: '/kernel',
    initrd: '/initrd',
    cmdline: 'quiet',
    root: '/root.img',
    tools: '/tools.img',
    preload: '/qemu-preload.so',
    manifest: { runtime, description: '', agent: runtime === 'claude-agent', memoryMib: runtime === 'bash' ? 256 : 1024, cpus: 1 },
  };
}
