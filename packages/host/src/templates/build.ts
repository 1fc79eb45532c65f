import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { guestNetwork, guestPorts, templateIdentity } from '@citb/api';
import type { BootImage } from '@citb/images';
import type { LiveBox } from '../boxes/access.ts';
import { cpuTime } from '../boxes/cpu-time.ts';
import { newAccessToken, newRunId } from '../boxes/names.ts';
import type { BoxParts } from '../boxes/parts.ts';
import { writeSaved } from '../boxes/saved-machine.ts';
import type { Vm, VmSpec } from '../vmm/vmm.ts';
import { type Shape, templateFiles, unfinishedPrefix } from './template.ts';

/** Uses the services of a machine once, so that clones have in memory what their first requests need. @throws when they do not answer */
export type Rehearsal = (box: LiveBox, signal: AbortSignal) => Promise<void>;

export type BuildParts = Pick<BoxParts, 'vmm' | 'disks' | 'rows' | 'addresses' | 'admission' | 'guest' | 'settings' | 'log'> & {
  readonly rehearse: Rehearsal;
  /** A machine of this run is being made: nobody's box, and no stray either. */
  readonly begun: (runId: string) => void;
};

/** The machine rests when it uses less of a core than this, over `restMs`; an idle guest uses 1-3 % under emulation. */
const restShare = 0.15;
const restMs = 500;
/** How often the first call is made again: it is what the creation of a clone waits for. */
const rehearsedCalls = 5;
/** What never rests is taken as it is after so long, in ms. */
const unrestMs = 30_000;

/**
 * Boots a machine of the shape, has its services used once, and saves it when it rests, in `folder`, which appears complete or not
 * at all. Nothing else is left: machine, address and memory are given back.
 * @throws host_full, host_disk_full; an Error when the machine does not come up
 */
export async function buildTemplate(
  parts: BuildParts,
  { image, shape, key, folder }: { image: BootImage; shape: Shape; key: string; folder: string },
  signal: AbortSignal,
): Promise<void> {
  const { disks, admission, settings } = parts;
  // Another daemon may be at it too, where demos share the folder.
  const unfinished = join(folder, '..', `${unfinishedPrefix}${process.pid}-${key}`);
  const files = templateFiles(unfinished);
  await using undo = new AsyncDisposableStack();
  const owner = `template ${key}`;
  admission.reserve(owner, shape.memoryMib);
  undo.defer(() => admission.release(owner));
  await rm(unfinished, { recursive: true, force: true });
  undo.defer(() => rm(unfinished, { recursive: true, force: true }));
  await mkdir(unfinished, { recursive: true, mode: 0o711 });
  await disks.create(files.disk, shape.diskMib, signal);

  const token = newAccessToken();
  const { spec, vm } = await boot(parts, (address) => specOf(image, shape, unfinished, files.disk, address), undo, signal);
  await comeUp(parts, vm, token, signal);
  const box: LiveBox = { id: owner, runId: spec.runId, runtime: shape.runtime, agent: image.manifest.agent, vm, accessToken: token };
  if (box.agent) await parts.guest.waitUntilParked(vm, token, { signal, deadlineMs: settings.startDeadlineMs });
  await parts.rehearse(box, signal);
  // What was compiled for the first one may have been dropped since.
  for (let again = 0; again < rehearsedCalls; again++) await initialise(parts, vm, token, signal);
  await rest(vm, signal);
  await vm.pause();
  const { key: snapshotKey } = await vm.snapshot(files.machine, true);
  await vm.kill();
  // Nobody answers at the broker's end.
  await writeSaved(files.machine, spec, image.key, { key: snapshotKey, connections: 0 });
  await writeFile(files.manifest, JSON.stringify({ key, token, shape }), { mode: 0o600, flush: true });
  signal.throwIfAborted();
  await rename(unfinished, folder).catch((error: NodeJS.ErrnoException) => {
    // It was there first, and is the same.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
}

async function boot(
  { vmm, rows, addresses, begun }: BuildParts,
  specAt: (address: string) => VmSpec,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<{ spec: VmSpec; vm: Vm }> {
  // Until the machine listens on the address, nobody else knows that it is taken.
  return await addresses.assign(
    undefined,
    () => rows.addresses(''),
    async (address) => {
      const spec = specAt(address);
      begun(spec.runId);
      const vm = await vmm.boot(spec, signal);
      undo.defer(() => vm.kill());
      return { spec, vm };
    },
  );
}

/** The guest's services answer; it belongs to nobody. */
async function comeUp({ guest, settings }: BuildParts, vm: Vm, token: string, signal: AbortSignal): Promise<void> {
  const deadlineMs = settings.startDeadlineMs;
  await guest.waitForEnvd(vm, { signal, deadlineMs });
  await initialise({ guest, settings }, vm, token, signal);
}

/** The first call of the host, by which a template is nobody. */
async function initialise(
  { guest, settings }: Pick<BuildParts, 'guest' | 'settings'>,
  vm: Vm,
  token: string,
  signal: AbortSignal,
): Promise<void> {
  const agent = { anthropicBaseUrl: `http://${guestNetwork.broker}`, model: settings.model };
  const entropy = randomBytes(64).toString('base64');
  await guest.initialise(
    vm,
    token,
    { accessToken: token, timestamp: new Date().toISOString(), envVars: {}, identity: templateIdentity, entropy, agent },
    signal,
  );
}

/** Resolves when the machine does next to nothing: what it began at its start is done once, not in every clone. */
async function rest(vm: Vm, signal: AbortSignal): Promise<void> {
  for (const end = performance.now() + unrestMs; performance.now() < end;) {
    const before = cpuTime(vm.record);
    await sleep(restMs, undefined, { signal });
    const after = cpuTime(vm.record);
    if (before === undefined || after === undefined) throw new Error('The machine of a template ended.');
    if (after - before < restMs * restShare) return;
  }
}

function specOf(image: BootImage, shape: Shape, folder: string, disk: string, address: string): VmSpec {
  return {
    runId: newRunId(),
    folder,
    machine: { cpus: shape.cpus, memoryMib: shape.memoryMib },
    boot: { kernel: image.kernel, initrd: image.initrd, cmdline: image.cmdline },
    drives: [
      { path: image.root, readOnly: true },
      { path: disk, readOnly: false },
      { path: image.tools, readOnly: true },
    ],
    network: { address, ports: Object.values(guestPorts) },
    // A way out like a box's, so that the devices are the same; nobody listens.
    brokerSocket: join(folder, 'broker.sock'),
  };
}
