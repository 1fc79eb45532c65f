import type { Duplex } from 'node:stream';
import { z } from 'zod';
import type { Console } from '../console.ts';
import { dialTcp } from '../dial.ts';
import type { ExitWatch } from '../exit.ts';
import { isAlive, residentMemory, signalProcess, waitGone } from '../process.ts';
import { VmmError } from '../vmm-error.ts';
import type { Snapshot, Vm, VmExit, VmRecord, VmSpec } from '../vmm.ts';
import { vmFiles } from './files.ts';
import { boundLog } from './launch.ts';
import { saveMemory } from './memory.ts';
import { saveState } from './migration.ts';
import type { Qmp } from './qmp.ts';
import { writeSnapshot } from './snapshot.ts';

/** After SIGKILL the kernel still has to free the memory. */
const killMs = 30_000;
const boundLogMs = 30_000;

const runStatus = z.object({ status: z.string() });

export interface VmParts {
  readonly spec: VmSpec;
  readonly record: VmRecord;
  readonly qmp: Qmp;
  readonly console: Console;
  readonly exit: ExitWatch;
  readonly key: string;
  /** Removes what a dead VM leaves: cgroup, sockets. */
  readonly clean: () => Promise<void>;
}

export class QemuVm implements Vm {
  readonly record: VmRecord;
  readonly exited: Promise<VmExit>;
  readonly #parts: VmParts;

  constructor(parts: VmParts) {
    this.#parts = parts;
    this.record = parts.record;
    this.exited = this.#end();
    // A closing socket tells of a death sooner than looking at /proc every now and then.
    void parts.qmp.closed.then(() => parts.exit.check());
    const timer = setInterval(() => void boundLog(vmFiles(parts.spec.folder).log).catch(() => {}), boundLogMs).unref();
    void this.exited.then(() => clearInterval(timer));
  }

  dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    return dialTcp(this.#parts.spec.network.address, port, signal);
  }

  async pause(): Promise<void> {
    await this.#parts.qmp.execute('stop');
  }

  async resume(): Promise<void> {
    await this.#parts.qmp.execute('cont');
  }

  async snapshot(folder: string): Promise<Snapshot> {
    const { qmp, spec, key, record } = this.#parts;
    const { status } = runStatus.parse(await qmp.execute('query-status'));
    // `postmigrate`: paused, and a snapshot was taken before.
    if (status !== 'paused' && status !== 'postmigrate') throw new VmmError(`only a paused machine can be saved, this one is ${status}`);
    return writeSnapshot(folder, { key, machine: spec.machine }, async (files) => {
      await saveState(qmp, vmFiles(spec.folder).migration, files.state);
      await saveMemory(record.pid, files.memory);
    });
  }

  async stop(graceMs: number): Promise<void> {
    const { exit, qmp } = this.#parts;
    exit.expect();
    // A guest whose CPUs stand still hears no power button. When QEMU does not answer, force is all that is left.
    const asked = qmp.execute('cont').then(() => qmp.execute('system_powerdown'));
    const grace = AbortSignal.timeout(graceMs);
    const over = new Promise<void>((resolve) => grace.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([
      this.exited,
      over,
      asked.then(
        () => over,
        () => {},
      ),
    ]);
    await this.kill();
  }

  async kill(): Promise<void> {
    const { exit, record } = this.#parts;
    exit.expect();
    signalProcess(record, 'SIGKILL');
    await waitGone(record, killMs);
    exit.check();
    await this.exited;
  }

  console(): string {
    return this.#parts.console.text();
  }

  onConsole(listener: (text: string) => void): () => void {
    return this.#parts.console.onText(listener);
  }

  memoryUsed(): Promise<number> {
    return isAlive(this.record) ? residentMemory(this.record.pid) : Promise.resolve(0);
  }

  async #end(): Promise<VmExit> {
    const { exit, qmp, console, clean } = this.#parts;
    const how = await exit.exited;
    qmp.close();
    // What cannot be removed now is found by the next sweep; the end of the machine is told in any case.
    await Promise.allSettled([console.close(), clean()]);
    return how;
  }
}
