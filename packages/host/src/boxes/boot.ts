import { mkdirSync } from 'node:fs';
import { guestPorts } from '@citb/api';
import type { BootImage } from '@citb/images';
import type { VmSpec } from '../vmm/vmm.ts';
import type { LiveBox } from './access.ts';
import { handOver } from './hand-over.ts';
import { loadImage } from './image.ts';
import { boxesFolder, boxPaths, newRunId } from './names.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';
import { withConsole } from './console-end.ts';
import { watchVm } from './lost.ts';

/**
 * One try to boot a box's machine and hand it over to its guest. Each step is idempotent, and what it acquired is given back
 * when a later one fails; the disk stays.
 * @throws the refusals of admission and images; an Error with the console's end when the machine does not come up
 */
export async function bootBox(parts: BoxParts, row: BoxRow, signal: AbortSignal): Promise<LiveBox> {
  const { rows, disks, broker, admission, bootSlots, vmm, logs, settings } = parts;
  await using undo = new AsyncDisposableStack();
  admission.reserve(row.id, row.memoryMib);
  undo.defer(() => admission.release(row.id));

  const image = await loadImage(parts, row.runtime, row.id);
  signal.throwIfAborted();
  const paths = boxPaths(settings.dataDir, row.id);
  // Passing through only: the VMM driver lets the box's own user in.
  mkdirSync(boxesFolder(settings.dataDir), { recursive: true, mode: 0o711 });
  mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
  await disks.create(paths.disk, row.diskMib, signal);

  using booting = new DisposableStack();
  booting.use(await bootSlots.enter(signal));
  const spec = await parts.addresses.assign(
    row.address ?? undefined,
    () => rows.addresses(row.id),
    (address) => {
      signal.throwIfAborted();
      const made = specOf(row, image, address, paths);
      rows.beginRun(row.id, made, image.key);
      return made;
    },
  );
  await broker.open(row.id, paths.brokerSocket);
  undo.defer(() => broker.close(row.id));
  const vm = await vmm.boot(spec, signal);
  undo.defer(() => vm.kill());
  rows.recordRun(row.id, vm.record);
  logs.attach(row.id, vm);
  undo.defer(() => logs.detach(row.id));
  logs.note(row.id, `booting, run ${spec.runId}, process ${vm.record.pid}`);

  const box: LiveBox = {
    id: row.id,
    runId: spec.runId,
    runtime: row.runtime,
    agent: row.agent,
    vm,
    accessToken: rows.secrets(row.id).accessToken,
  };
  await comeUp(parts, box, signal);
  signal.throwIfAborted();
  rows.move(row.id, 'running', 'start');
  undo.move();
  logs.note(row.id, 'running');
  parts.live.add(box);
  void watchVm(parts, box);
  return box;
}

/** Resolves when the guest has its identity and its services answer. @throws at once when the machine ends */
async function comeUp(parts: BoxParts, box: LiveBox, signal: AbortSignal): Promise<void> {
  const { vm } = box;
  const died = new AbortController();
  const watch = async (): Promise<void> => {
    const exit = await vm.exited;
    died.abort(new Error(`The machine ended while it started (${exit.signal ?? `exit code ${exit.code ?? 'unknown'}`}).`));
  };
  void watch();
  try {
    await handOver(parts, box, AbortSignal.any([signal, died.signal]));
    died.signal.throwIfAborted();
  } catch (error) {
    signal.throwIfAborted();
    const cause = (died.signal.aborted ? died.signal.reason : error) as Error;
    throw new Error(withConsole(cause.message, vm.console()), { cause: error });
  }
}

function specOf(row: BoxRow, image: BootImage, address: string, paths: ReturnType<typeof boxPaths>): VmSpec {
  return {
    runId: newRunId(),
    folder: paths.folder,
    machine: { cpus: row.cpus, memoryMib: row.memoryMib },
    boot: { kernel: image.kernel, initrd: image.initrd, cmdline: image.cmdline },
    drives: [
      { path: image.root, readOnly: true },
      { path: paths.disk, readOnly: false },
      { path: image.tools, readOnly: true },
    ],
    network: { address, ports: Object.values(guestPorts) },
    brokerSocket: paths.brokerSocket,
  };
}
