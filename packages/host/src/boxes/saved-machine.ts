import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { syncPath } from '../sync.ts';
import type { VmSpec } from '../vmm/vmm.ts';
import type { LiveBox } from './access.ts';
import type { SavedMachine } from './machine.ts';
import type { BoxParts } from './parts.ts';

/** Written last: where it is, all that belongs to the saved machine is on the disk. */
const manifestName = 'saved.json';

const spec = z.object({
  runId: z.string(),
  folder: z.string(),
  machine: z.object({ cpus: z.number(), memoryMib: z.number() }),
  boot: z.object({ kernel: z.string(), initrd: z.string(), cmdline: z.string() }),
  drives: z.array(z.object({ path: z.string(), readOnly: z.boolean() })),
  network: z.object({ address: z.string(), ports: z.array(z.number()) }),
  brokerSocket: z.string().optional(),
});
const manifest = z.object({
  version: z.literal(1),
  imageKey: z.string(),
  spec,
  snapshot: z.object({ key: z.string() }),
  connections: z.number().optional(),
});

/**
 * Stops the CPUs of a box and writes its machine's state into `folder`, where what was there before is no longer valid. When it
 * resolves, state and disk are on the host's disk. The VM stays paused, also when this fails: the caller lets it go on, or ends it.
 * The access token is not written: it is the box's and lies sealed in its row.
 * @param cut connections of the box to the broker that were cut right before
 * @throws when the machine is gone or its state cannot be written; `folder` then holds no saved machine
 */
export async function saveMachine(
  { rows, broker }: Pick<BoxParts, 'rows' | 'broker'>,
  box: LiveBox,
  folder: string,
  cut = 0,
): Promise<SavedMachine> {
  const row = rows.get(box.id);
  if (row?.spec?.runId !== box.runId) throw new Error(`the run ${box.runId} is not the present one of the box ${box.id}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rm(join(folder, manifestName), { force: true });
  await box.vm.pause();
  const snapshot = await box.vm.snapshot(folder);
  // The VMM has handed all writes of the guest to the host's kernel when the CPUs stopped; the disk must not be older than the memory.
  for (const { path, readOnly } of row.spec.drives) if (!readOnly) await syncPath(path);
  const { key, machine } = snapshot;
  // Since the CPUs stopped no other can have come.
  const connections = cut + (await broker.connections(box.id));
  await writeSaved(folder, row.spec, row.imageKey, { key, connections });
  return { snapshot: { folder, key, machine }, spec: row.spec, imageKey: row.imageKey, token: box.accessToken, connections };
}

/**
 * The machine that {@link saveMachine} wrote; undefined when there is none, or none that is complete. The folder may have been moved or copied.
 * @param token that the guest knows
 */
export function loadSaved(folder: string, token: string | undefined): SavedMachine | undefined {
  try {
    const found = manifest.parse(JSON.parse(readFileSync(join(folder, manifestName), 'utf8')));
    const loaded: VmSpec = { ...found.spec, brokerSocket: found.spec.brokerSocket };
    const snapshot = { folder, key: found.snapshot.key, machine: loaded.machine };
    return { snapshot, spec: loaded, imageKey: found.imageKey, token, connections: found.connections };
  } catch {
    return undefined;
  }
}

/** Makes a folder with a snapshot a saved machine. @param key of the snapshot */
export async function writeSaved(
  folder: string,
  of: VmSpec,
  imageKey: string,
  { key, connections }: { key: string; connections: number },
): Promise<void> {
  const about: z.input<typeof manifest> = { version: 1, imageKey, spec: stored(of), snapshot: { key }, connections };
  const path = join(folder, manifestName);
  await writeFile(`${path}.new`, JSON.stringify(about), { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
  await syncPath(folder);
}

function stored({ drives, network, brokerSocket, ...rest }: VmSpec): z.input<typeof spec> {
  return {
    ...rest,
    drives: drives.map((drive) => ({ ...drive })),
    network: { ...network, ports: [...network.ports] },
    ...(brokerSocket === undefined ? {} : { brokerSocket }),
  };
}
