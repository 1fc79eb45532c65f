import type { Duplex } from 'node:stream';
import type { Console } from './console.ts';
import { dialTcp } from './dial.ts';
import type { ExitWatch } from './exit.ts';
import { isAlive, ownMemory, signalProcess, waitGone } from './process.ts';
import type { Snapshot, Vm, VmExit, VmRecord, VmSpec } from './vmm.ts';

/** After SIGKILL the kernel still has to free the memory, in ms. */
export const killMs = 30_000;

export interface VmParts {
  readonly spec: VmSpec;
  readonly record: VmRecord;
  readonly console: Console;
  readonly exit: ExitWatch;
  /** {@link Snapshot.key} of the machine. */
  readonly key: string;
  /** Removes what the process leaves when it is gone. */
  readonly clean: () => Promise<void>;
}

/** What is the same for every VM that is one process of this machine, with its ports on a loopback address. */
export abstract class ProcessVm implements Vm {
  readonly record: VmRecord;
  readonly exited: Promise<VmExit>;
  protected readonly parts: VmParts;

  constructor(parts: VmParts) {
    this.parts = parts;
    this.record = parts.record;
    this.exited = this.#end();
  }

  abstract pause(): Promise<void>;
  abstract resume(): Promise<void>;
  abstract snapshot(folder: string, shared?: boolean): Promise<Snapshot>;
  /** Presses the power button, of a machine that runs. */
  protected abstract powerDown(): Promise<void>;

  dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    return dialTcp(this.parts.spec.network.address, port, signal);
  }

  async stop(graceMs: number): Promise<void> {
    this.parts.exit.expect();
    const grace = Promise.withResolvers<void>();
    const timer = setTimeout(grace.resolve, graceMs);
    // A VMM that does not even take the request is ended at once.
    void this.resume()
      .then(() => this.powerDown())
      .catch(grace.resolve);
    await Promise.race([this.exited, grace.promise]);
    clearTimeout(timer);
    await this.kill();
  }

  async kill(): Promise<void> {
    this.parts.exit.expect();
    signalProcess(this.record, 'SIGKILL');
    await waitGone(this.record, killMs);
    this.parts.exit.check();
    await this.exited;
  }

  console(): string {
    return this.parts.console.text();
  }

  onConsole(listener: (text: string) => void): () => void {
    return this.parts.console.onText(listener);
  }

  async memoryUsed(): Promise<number> {
    return isAlive(this.record) ? ownMemory(this.record.pid) : 0;
  }

  async #end(): Promise<VmExit> {
    const { exit, console, clean } = this.parts;
    const how = await exit.exited;
    // What cannot be removed now is found by the next sweep; the end of the machine is told in any case.
    await Promise.allSettled([console.close(), clean()]);
    return how;
  }
}
