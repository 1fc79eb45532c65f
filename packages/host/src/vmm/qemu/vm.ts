import { z } from 'zod';
import { boundLog } from '../launch.ts';
import { ProcessVm, type VmParts } from '../process-vm.ts';
import { VmmError } from '../vmm-error.ts';
import type { Snapshot } from '../vmm.ts';
import { vmFiles } from './files.ts';
import { savePages } from './memory/memory.ts';
import { saveState } from './migration.ts';
import type { Qmp } from './qmp.ts';
import { writeSnapshot } from './snapshot.ts';

const boundLogMs = 30_000;

const runStatus = z.object({ status: z.string() });

/** A QEMU process, steered through its control socket. */
export class QemuVm extends ProcessVm {
  readonly #qmp: Qmp;

  constructor(parts: VmParts, qmp: Qmp) {
    super(parts);
    this.#qmp = qmp;
    void this.#watch(parts);
  }

  async pause(): Promise<void> {
    await this.#qmp.execute('stop');
  }

  async resume(): Promise<void> {
    await this.#qmp.execute('cont');
  }

  async snapshot(folder: string, shared = false): Promise<Snapshot> {
    const { status } = runStatus.parse(await this.#qmp.execute('query-status'));
    // `postmigrate`: paused, and a snapshot was taken before.
    if (status !== 'paused' && status !== 'postmigrate') throw new VmmError(`only a paused machine can be saved, this one is ${status}`);
    const { spec, key } = this.parts;
    const { migration, memory } = vmFiles(spec.folder);
    return writeSnapshot(folder, { key, machine: spec.machine, shared }, memory, async (files) => {
      await saveState(this.#qmp, migration, files.state);
      await savePages(this.record.pid, memory, files.pages);
    });
  }

  protected async powerDown(): Promise<void> {
    await this.#qmp.execute('system_powerdown');
  }

  async #watch({ exit, spec }: VmParts): Promise<void> {
    const log = vmFiles(spec.folder).log;
    const timer = setInterval(() => void boundLog(log).catch(() => {}), boundLogMs).unref();
    // A closing socket tells of a death sooner than looking at /proc every now and then.
    await this.#qmp.closed;
    exit.check();
    await this.exited;
    clearInterval(timer);
  }
}
