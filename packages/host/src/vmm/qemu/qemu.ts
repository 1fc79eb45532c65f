import type { Logger } from '@citb/daemon';
import { resolve, sep } from 'node:path';
import { CgroupSweep } from '../cgroup-sweep.ts';
import { commandLines, isAlive, signalProcess, waitGone } from '../process.ts';
import { killMs } from '../process-vm.ts';
import { VmmError } from '../vmm-error.ts';
import type { Snapshot, Vm, Vmm, VmmReport, VmRecord, VmSpec } from '../vmm.ts';
import { isRunId, readArguments } from './command-line.ts';
import { removeLeftovers } from './leftovers.ts';
import { probeQemu, type Probe } from './probe.ts';
import { adoptVm, startVm } from './start.ts';

export interface QemuOptions {
  readonly dataDir: string;
  /** Its init must say `CITB-PROBE-OK` and power off when `citb.probe` is on the kernel's command line. */
  readonly bootImageForProbe: { readonly kernel: string; readonly initrd: string };
  /** `qemu-preload.so` of the guest's image. */
  readonly preload: string;
  readonly log: Logger;
  /** First of 2^22 uids that belong to nobody else; used when the daemon is root. */
  readonly uidBase?: number;
}

/** The driver for QEMU's `microvm`, with KVM where a machine really boots with it, else in software. x86_64 only. */
export function createQemu(options: QemuOptions): Vmm {
  return new Qemu(options);
}

class Qemu implements Vmm {
  readonly name = 'qemu';
  readonly #options: QemuOptions;
  readonly #sweep = new CgroupSweep();
  #probe: Promise<Probe> | undefined;

  constructor(options: QemuOptions) {
    this.#options = options;
  }

  async probe(signal?: AbortSignal): Promise<VmmReport> {
    return (await this.#probed(signal)).report;
  }

  async boot(spec: VmSpec, signal?: AbortSignal): Promise<Vm> {
    return startVm(await this.#facts(signal), checked(spec), undefined, signal);
  }

  async restore(spec: VmSpec, snapshot: Snapshot, signal?: AbortSignal, loaded?: (record: VmRecord) => void): Promise<Vm> {
    return startVm(await this.#facts(signal), checked(spec), snapshot, signal, loaded);
  }

  async adopt(spec: VmSpec, record: VmRecord): Promise<Vm | undefined> {
    const facts = await this.#facts();
    const vm = await adoptVm(facts, spec, record);
    if (vm === undefined) await removeLeftovers(facts.isolation.cgroups, record);
    return vm;
  }

  async list(root: string): Promise<VmRecord[]> {
    const inside = resolve(root) + sep;
    const found: VmRecord[] = [];
    for await (const { identity, args } of commandLines()) {
      const of = readArguments(args);
      if (of?.folder.startsWith(inside) === true) found.push({ driver: 'qemu', ...of, ...identity });
    }
    return found;
  }

  async reap(record: VmRecord): Promise<void> {
    if (!isAlive(record)) return;
    signalProcess(record, 'SIGKILL');
    await waitGone(record, killMs);
    await removeLeftovers((await this.#facts()).isolation.cgroups, record);
  }

  async sweep(): Promise<readonly string[]> {
    const { facts } = await this.#probed();
    return facts === undefined ? [] : this.#sweep.sweep(facts.isolation.cgroups.kind);
  }

  async #facts(signal?: AbortSignal) {
    const probe = await this.#probed(signal);
    if (probe.facts === undefined) throw new VmmError(probe.report.reason);
    return probe.facts;
  }

  /** One at a time; a failure is not remembered, so that an installed QEMU is found without a restart. */
  #probed(signal?: AbortSignal): Promise<Probe> {
    this.#probe ??= probeQemu(this.#options, signal).then((probe) => {
      if (probe.facts === undefined) this.#probe = undefined;
      return probe;
    });
    return this.#probe;
  }
}

function checked(spec: VmSpec): VmSpec {
  if (!isRunId(spec.runId)) throw new VmmError(`${spec.runId} is not the id of a run`);
  return spec;
}
