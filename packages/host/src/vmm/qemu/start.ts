import { stat } from 'node:fs/promises';
import type { Logger } from '@citb/daemon';
import { Console } from '../console.ts';
import { type ExitWatch, watchExit } from '../exit.ts';
import { isAlive, signalProcess, waitGone } from '../process.ts';
import { VmmError } from '../vmm-error.ts';
import { killMs } from '../process-vm.ts';
import type { Snapshot, VmRecord, VmSpec } from '../vmm.ts';
import { qemuArguments } from './command-line.ts';
import { vmFiles } from './files.ts';
import { boxUid, type Isolation, prepareFolder, withRights } from './isolation.ts';
import { lastWords, launch } from '../launch.ts';
import { emptyMemory, loadPages, sameMemory } from './memory/memory.ts';
import { memoryMappings } from './memory/mappings.ts';
import { loadState } from './migration.ts';
import { Qmp } from './qmp.ts';
import { machineLimits } from './limits.ts';
import { removeLeftovers } from './leftovers.ts';
import { checkSnapshot, snapshotFiles, snapshotKey } from './snapshot.ts';
import { QemuVm } from './vm.ts';
import { type Accelerator, x86_64 } from './x86-64.ts';

/** How long QEMU may take until its control socket answers: tens of ms, seconds on a machine out of breath. */
const startMs = 60_000;

/** What is known about QEMU on this machine. */
export interface QemuFacts {
  readonly version: string;
  readonly accelerator: Accelerator;
  readonly isolation: Isolation;
  /** The library that is loaded into QEMU: packages/images/guest/preload. */
  readonly preload: string;
  readonly log: Logger;
}

/**
 * Starts QEMU, from disks or from a snapshot, and lets the CPUs run.
 * @param loaded called right before that
 * @throws VmmError; nothing is left behind then
 */
export async function startVm(
  facts: QemuFacts,
  spec: VmSpec,
  snapshot: Snapshot | undefined,
  signal?: AbortSignal,
  loaded?: (record: VmRecord) => void,
): Promise<QemuVm> {
  signal?.throwIfAborted();
  const files = vmFiles(spec.folder);
  const key = await snapshotKey(spec, facts.version, facts.accelerator);
  const saved = snapshot === undefined ? undefined : { ...(await checkSnapshot(snapshot, key)), files: snapshotFiles(snapshot.folder) };
  await checkFiles(spec);

  await using stack = new AsyncDisposableStack();
  const { cgroups } = facts.isolation;
  const uid = boxUid(facts.isolation, spec);
  stack.defer(() => removeLeftovers(cgroups, spec));
  await prepareFolder(spec, uid);
  if (saved === undefined) await emptyMemory(files.memory, spec.machine.memoryMib);
  else await sameMemory(saved.files.base, files.memory);
  const cgroup = await cgroups.create(spec.runId, machineLimits(spec.machine, facts.accelerator));

  const command = [x86_64.binary, ...qemuArguments(spec, facts.accelerator, saved !== undefined)];
  const { child, identity, limited } = await launch(withRights(facts.isolation, uid, command), files.log, cgroup, {
    LD_PRELOAD: facts.preload,
    CITB_MEMORY: files.memory,
  });
  const exit = watchExit(identity, child);
  stack.defer(async () => {
    signalProcess(identity, 'SIGKILL');
    await waitGone(identity, killMs);
  });

  return await inWords(exit, files.log, async (died) => {
    const stop = signal === undefined ? died : AbortSignal.any([signal, died]);
    const qmp = await Qmp.connect(files.qmp, startMs, stop);
    stack.defer(() => qmp.close());
    const console = await Console.begin(spec.folder, files.serial);
    stack.defer(() => console.close());
    await limited;
    memoryMappings(identity.pid, files.memory);
    if (saved !== undefined) {
      if (!saved.shared) await loadPages(saved.files.pages, identity.pid, files.memory);
      await loadState(qmp, files.migration, saved.files.state);
    }
    stop.throwIfAborted();
    const record: VmRecord = { driver: 'qemu', runId: spec.runId, folder: spec.folder, ...identity };
    loaded?.(record);
    await qmp.execute('cont');
    stack.move();
    return new QemuVm({ spec, record, console, exit, key, clean: () => removeLeftovers(cgroups, spec) }, qmp);
  });
}

/** A QEMU that an earlier daemon started. @throws VmmError when it lives but does not answer */
export async function adoptVm(facts: QemuFacts, spec: VmSpec, record: VmRecord): Promise<QemuVm | undefined> {
  if (!isAlive(record)) return undefined;
  const files = vmFiles(spec.folder);
  const exit = watchExit(record);
  await using stack = new AsyncDisposableStack();
  const qmp = await Qmp.connect(files.qmp, startMs).catch((error: unknown) => {
    if (!isAlive(record)) return undefined;
    throw error;
  });
  if (qmp === undefined) return undefined;
  stack.defer(() => qmp.close());
  const console = await Console.continue(spec.folder, files.serial);
  stack.move();
  const key = await snapshotKey(spec, facts.version, facts.accelerator);
  const clean = () => removeLeftovers(facts.isolation.cgroups, spec);
  return new QemuVm({ spec, record, console, exit, key, clean }, qmp);
}

/** QEMU's own complaint about a missing file comes without saying whose it is. */
async function checkFiles(spec: VmSpec): Promise<void> {
  const { kernel, initrd } = spec.boot;
  for (const path of [spec.folder, kernel, initrd, ...spec.drives.map((drive) => drive.path)]) {
    await stat(path).catch((error: NodeJS.ErrnoException) => {
      throw new VmmError(error.code === 'ENOENT' ? `${path} is missing` : `${path} cannot be used: ${error.message}`);
    });
  }
}

/** When QEMU dies on the way, its last words are the reason, not the broken connection. */
async function inWords<T>(exit: ExitWatch, logPath: string, work: (died: AbortSignal) => Promise<T>): Promise<T> {
  const death = new AbortController();
  void exit.exited.then(() => death.abort(new VmmError('QEMU ended')));
  try {
    return await work(death.signal);
  } catch (error) {
    // A closed socket is seen a little before the end itself.
    if (error instanceof VmmError) await Promise.race([exit.exited, new Promise((resolve) => setTimeout(resolve, 200))]);
    if (!exit.over) throw error;
    const { code, signal } = await exit.exited;
    throw new VmmError(`QEMU ended (${signal ?? code}): ${await lastWords(logPath)}`, { cause: error });
  }
}
