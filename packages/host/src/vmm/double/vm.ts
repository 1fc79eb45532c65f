import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, isStopped, signalProcess } from '../process.ts';
import { ProcessVm } from '../process-vm.ts';
import { VmmError } from '../vmm-error.ts';
import type { Snapshot } from '../vmm.ts';
import { doubleFiles } from './files.ts';

const answerMs = 30_000;

/** Paused = stopped by a signal, with the memory in a file (machine.ts). */
export class DoubleVm extends ProcessVm {
  async pause(): Promise<void> {
    if (isStopped(this.record)) return;
    signalProcess(this.record, 'SIGUSR2');
    await this.#until(() => isStopped(this.record), 'pause');
  }

  async resume(): Promise<void> {
    signalProcess(this.record, 'SIGCONT');
    await this.#until(() => !isStopped(this.record), 'resume');
  }

  async snapshot(folder: string): Promise<Snapshot> {
    if (!isStopped(this.record)) throw new VmmError('only a paused machine can be saved');
    const { spec, key } = this.parts;
    await mkdir(folder, { recursive: true });
    await copyFile(doubleFiles(spec.folder).memory, join(folder, 'memory'));
    await writeFile(join(folder, 'snapshot.json'), JSON.stringify({ key }));
    return { folder, key, machine: spec.machine };
  }

  protected async powerDown(): Promise<void> {
    signalProcess(this.record, 'SIGTERM');
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    const end = Date.now() + answerMs;
    while (!done()) {
      if (!isAlive(this.record)) throw new VmmError(`the machine is gone, it cannot ${what}`);
      if (Date.now() > end) throw new VmmError(`the machine did not ${what} within ${answerMs} ms`);
      await delay(5);
    }
  }
}
