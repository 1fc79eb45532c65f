import { mkdirSync } from 'node:fs';
import { guestPorts } from '@citb/api';
import type { Snapshot, VmRecord, VmSpec } from '../vmm/vmm.ts';
import type { LiveBox } from './access.ts';
import { handOver, type SavedGuest } from './hand-over.ts';
import { loadImage } from './image.ts';
import { boxesFolder, boxPaths, newRunId } from './names.ts';
import { MachineHangs, watchForHang } from './hang.ts';
import { withMemory } from './memory-room.ts';
import type { BoxParts } from './parts.ts';
import type { BoxRow } from './rows.ts';
import { withConsole } from './console-end.ts';
import { watchVm } from './lost.ts';

/** A machine that was saved; the disk that belongs to it is kept beside it. */
export interface SavedMachine {
  readonly snapshot: Snapshot;
  /** Of the machine when it was saved: image and kernel must be the same again, the rest may differ. */
  readonly spec: VmSpec;
  readonly imageKey: string;
  /** The access token that the guest knows; undefined: nobody has taken it yet. */
  readonly token: string | undefined;
  /** Connections to the broker that it had; undefined: nobody knows. */
  readonly connections: number | undefined;
}

/**
 * What a machine begins from: its disk alone, or a saved machine whose disk is already in the box's place. `how` is what the box's
 * event says of it: a clone of a template, a copy of another box, or the box as it was.
 */
export type Origin = 'disk' | (SavedMachine & { readonly how: 'template' | 'fork' | 'restore' });

/**
 * One try to start a box's machine and hand it over to its guest. Each step is idempotent, and what it acquired is given back
 * when a later one fails; the disk stays.
 * @throws the refusals of admission and images; an Error with the console's end when the machine does not come up
 */
export async function startMachine(parts: BoxParts, row: BoxRow, origin: Origin, signal: AbortSignal): Promise<LiveBox> {
  const { rows, disks, broker, admission, bootSlots, vmm, logs, settings } = parts;
  await using undo = new AsyncDisposableStack();
  await withMemory(parts, () => admission.reserve(row.id, row.memoryMib));
  undo.defer(() => admission.release(row.id));

  const parent = origin === 'disk' ? await imageParent(parts, row) : origin;
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
      const made = specOf(row, parent.spec, address, paths);
      rows.beginRun(row.id, made, parent.imageKey);
      return made;
    },
  );
  await broker.open(row.id, paths.brokerSocket);
  undo.defer(async () => void (await broker.close(row.id)));
  const record = (of: VmRecord): void => rows.recordRun(row.id, of);
  const vm = await (origin === 'disk' ? vmm.boot(spec, signal) : vmm.restore(spec, origin.snapshot, signal, record));
  undo.defer(() => vm.kill());
  if (origin === 'disk') record(vm.record);
  logs.attach(row.id, vm);
  undo.defer(() => logs.detach(row.id));
  logs.note(row.id, `${origin === 'disk' ? 'booting' : 'restored'}, run ${spec.runId}, process ${vm.record.pid}`);

  const box: LiveBox = {
    id: row.id,
    runId: spec.runId,
    runtime: row.runtime,
    agent: row.agent,
    vm,
    accessToken: rows.secrets(row.id).accessToken,
  };
  await comeUp(parts, box, origin === 'disk' ? undefined : origin, signal);
  signal.throwIfAborted();
  rows.store.transaction(() => {
    rows.move(row.id, 'running', 'start');
    if (row.state === 'creating') parts.events.add(row.id, 'created');
    parts.events.add(row.id, 'running', { how: origin === 'disk' ? 'boot' : origin.how, run_id: spec.runId });
  });
  undo.move();
  logs.note(row.id, 'running');
  parts.live.add(box);
  void watchVm(parts, box);
  return box;
}

/** Resolves when the guest has its identity and its services answer. @throws at once when the machine ends */
export async function comeUp(parts: BoxParts, box: LiveBox, saved: SavedGuest | undefined, signal: AbortSignal): Promise<void> {
  const { vm } = box;
  const died = new AbortController();
  const watch = async (): Promise<void> => {
    const exit = await vm.exited;
    died.abort(new Error(`The machine ended while it started (${exit.signal ?? `exit code ${exit.code ?? 'unknown'}`}).`));
  };
  void watch();
  const up = new AbortController();
  const watchBoot = async (): Promise<void> => {
    const how = await watchForHang(vm.record, up.signal);
    if (how !== undefined) died.abort(new MachineHangs(how, vm.console()));
  };
  if (saved === undefined) void watchBoot();
  try {
    await handOver(parts, box, saved, AbortSignal.any([signal, died.signal]));
    died.signal.throwIfAborted();
  } catch (error) {
    signal.throwIfAborted();
    if (died.signal.reason instanceof MachineHangs) throw died.signal.reason;
    const cause = (died.signal.aborted ? died.signal.reason : error) as Error;
    throw new Error(withConsole(cause.message, vm.console()), { cause: error });
  } finally {
    up.abort();
  }
}

/** The part of a spec that comes from the runtime's image. */
type ImageSpec = Pick<VmSpec, 'boot' | 'drives'>;

async function imageParent(parts: BoxParts, row: BoxRow): Promise<{ spec: ImageSpec; imageKey: string }> {
  const image = await loadImage(parts, row.runtime, row.id);
  const drives = [
    { path: image.root, readOnly: true },
    { path: '', readOnly: false },
    { path: image.tools, readOnly: true },
  ];
  return { spec: { boot: { kernel: image.kernel, initrd: image.initrd, cmdline: image.cmdline }, drives }, imageKey: image.key };
}

function specOf(row: BoxRow, { boot, drives }: ImageSpec, address: string, paths: ReturnType<typeof boxPaths>): VmSpec {
  return {
    runId: newRunId(),
    folder: paths.folder,
    machine: { cpus: row.cpus, memoryMib: row.memoryMib },
    boot,
    drives: drives.map((drive) => (drive.readOnly ? drive : { ...drive, path: paths.disk })),
    network: { address, ports: Object.values(guestPorts) },
    brokerSocket: paths.brokerSocket,
  };
}
