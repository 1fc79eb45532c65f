import type { Duplex } from 'node:stream';

/**
 * The seam between the product and whatever runs microVMs. Drivers: `qemu/`, `double/` (processes instead of VMs, for tests);
 * one contract suite (`vmm.contract.ts`) runs on each.
 * A driver keeps no state of its own that a restart of the host daemon would lose: {@link VmRecord} is enough to adopt a VM.
 */
export interface Vmm {
  readonly name: 'qemu' | 'firecracker' | 'double';

  /** What this driver can do here; found out by booting, cached on disk. Never throws: `usable: false` has the reason. */
  probe(signal?: AbortSignal): Promise<VmmReport>;

  /**
   * Starts a VM from its disks. Resolves when the VMM process runs and its control socket answers; the guest is not up yet.
   * @throws when the VMM cannot be started; nothing is left behind then
   */
  boot(spec: VmSpec, signal?: AbortSignal): Promise<Vm>;

  /**
   * Starts a VM from a snapshot; the machine's shape must be the snapshot's. Resolves when its CPUs run.
   * @param loaded called once, right before they do: until then the disks are as they were and the snapshot is as good as before; from then on
   *   the VM can be adopted, and resumed, by its record. What it throws ends the VM.
   * @throws when it cannot be loaded (other version, damaged files); nothing is left behind then, and a cold `boot` of the same disks is safe
   */
  restore(spec: VmSpec, snapshot: Snapshot, signal?: AbortSignal, loaded?: (record: VmRecord) => void): Promise<Vm>;

  /** A VM that an earlier host daemon started; undefined when its process is gone (pid, start time and boot id must all agree). */
  adopt(spec: VmSpec, record: VmRecord): Promise<Vm | undefined>;

  /** Every VMM process under `root` (the data directory), also those without a row: what the reconciler compares with. */
  list(root: string): Promise<VmRecord[]>;

  /** Ends a VMM process found by {@link list}, with all it left (sockets, cgroup). Does nothing when the record no longer names a living process. */
  reap(record: VmRecord): Promise<void>;

  /** Removes the control groups of VMs that are gone, seen empty for a while. Returns their names. Called every minute. */
  sweep(): Promise<readonly string[]>;
}

export interface Vm {
  readonly record: VmRecord;
  /** Resolves once, when the VMM process is gone, whoever ended it. */
  readonly exited: Promise<VmExit>;

  /**
   * A byte stream to a port of the guest. Fails fast when nobody listens.
   * @throws Error with `code` as node:net has it
   */
  dial(port: number, signal?: AbortSignal): Promise<Duplex>;

  /** Stops the CPUs; memory stays. Idempotent. */
  pause(): Promise<void>;
  /** Lets them run again. Idempotent. */
  resume(): Promise<void>;

  /**
   * Writes the machine's state into `folder` (the VM must be paused; it stays paused). The files are complete and synced when it resolves.
   * The disks are not copied: the caller keeps or copies them while the VM is paused.
   * @param shared for many machines at once, which share its memory until they write: of a machine that was booted, not restored
   */
  snapshot(folder: string, shared?: boolean): Promise<Snapshot>;

  /** Asks the guest to shut down cleanly, ends it by force after `graceMs`. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
  /** Ends it at once. Resolves when it is gone. Idempotent. */
  kill(): Promise<void>;

  /** Lines of the serial console so far, at most `limits.consoleBytes`. */
  console(): string;
  /** Called with each new piece of console output; returns how to stop. */
  onConsole(listener: (text: string) => void): () => void;

  /** Memory that would be free without it, in bytes: what machines share counts for none of them. */
  memoryUsed(): Promise<number>;
}

export interface VmSpec {
  /** One incarnation: unique for ever, `run_…`. Names the process. */
  readonly runId: string;
  /** The box's own folder for sockets, console and memory; exists. Paths of sockets in it stay below 107 bytes. */
  readonly folder: string;
  readonly machine: Machine;
  readonly boot: { readonly kernel: string; readonly initrd: string; readonly cmdline: string };
  /** In order: /dev/vda (runtime image), /dev/vdb (private disk), /dev/vdc (guest tools). */
  readonly drives: readonly Drive[];
  /** The host's address for the box (127.64.0.0/10); `ports` of the guest are reachable there. */
  readonly network: { readonly address: string; readonly ports: readonly number[] };
  /** Unix socket on which the broker of this box listens: the guest's 10.0.2.100:80. Undefined: no way out at all. */
  readonly brokerSocket: string | undefined;
}

export interface Machine {
  readonly cpus: number;
  readonly memoryMib: number;
}

export interface Drive {
  readonly path: string;
  readonly readOnly: boolean;
}

/** Enough to find a VMM process again, as JSON in the box's row. */
export interface VmRecord {
  readonly driver: Vmm['name'];
  readonly runId: string;
  readonly folder: string;
  readonly pid: number;
  /** Field 22 of /proc/pid/stat, clock ticks since boot. */
  readonly startTime: string;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
}

export interface VmExit {
  /** Exit code of the VMM where it is known (an adopted VM's is not). */
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** Asked for by `stop` or `kill`. */
  readonly expected: boolean;
}

/** A machine's state in files: immutable once written. */
export interface Snapshot {
  readonly folder: string;
  /** What must agree for a restore: driver, its version, accelerator, CPU model, machine. */
  readonly key: string;
  readonly machine: Machine;
}

export interface VmmReport {
  readonly usable: boolean;
  readonly version: string;
  /** `kvm`, `tcg`, `double`. */
  readonly accelerator: string;
  /** In words: why this accelerator, or why it cannot be used. */
  readonly reason: string;
  readonly isolation: { readonly uid: boolean; readonly cgroup: 'v2' | 'v1' | 'none'; readonly seccomp: boolean };
}
