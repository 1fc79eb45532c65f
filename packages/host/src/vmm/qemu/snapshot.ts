import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { syncPath } from '../../sync.ts';
import { VmmError } from '../vmm-error.ts';
import { checkPages, sameMemory, spreadPages } from './memory/memory.ts';
import type { Snapshot, VmSpec } from '../vmm.ts';
import { type Accelerator, x86_64 } from './x86-64.ts';

/** Says, as the last file written, that the others are complete. */
const manifestName = 'snapshot.json';
const manifest = z.object({ key: z.string(), machine: z.object({ cpus: z.number(), memoryMib: z.number() }), shared: z.boolean() });

export interface SnapshotFiles {
  /** Of CPUs and devices, in QEMU's own format. */
  readonly state: string;
  /** The memory that the machine was mapped from: its own name of a file that other machines may have too. */
  readonly base: string;
  /** What the machine has written of it. Not there when the snapshot is for many: it is in `base` then. */
  readonly pages: string;
  readonly manifest: string;
}

export function snapshotFiles(folder: string): SnapshotFiles {
  const [state, base, pages] = ['state', 'base', 'pages'].map((name) => join(folder, name)) as [string, string, string];
  return { state, base, pages, manifest: join(folder, manifestName) };
}

/**
 * What must be the same for a snapshot to be loaded: QEMU and its version (it promises more, but not for `microvm`), accelerator,
 * CPU, memory, and the devices. Paths, addresses and the number of forwarded ports may differ.
 */
export async function snapshotKey(spec: VmSpec, version: string, accelerator: Accelerator): Promise<string> {
  const cpu = accelerator === 'kvm' ? await hostCpu() : x86_64.cpu.tcg;
  const drives = spec.drives.map((drive) => (drive.readOnly ? 'ro' : 'rw')).join('+');
  const broker = spec.brokerSocket === undefined ? 'closed' : 'broker';
  return [
    'qemu',
    version,
    accelerator,
    cpu,
    `${spec.machine.cpus}x${spec.machine.memoryMib}`,
    x86_64.machine,
    drives,
    broker,
    'balloon',
  ].join('/');
}

/**
 * Writes a snapshot's files so that the manifest is there only when all else is on the disk.
 * @param memory what the machine's memory is mapped from
 * @param write writes state and pages
 */
export async function writeSnapshot(
  folder: string,
  { shared, ...about }: Pick<Snapshot, 'key' | 'machine'> & { readonly shared: boolean },
  memory: string,
  write: (files: SnapshotFiles) => Promise<void>,
): Promise<Snapshot> {
  const files = snapshotFiles(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rm(files.manifest, { force: true });
  if (shared && (await stat(memory)).blocks !== 0) throw new VmmError('only a machine that was booted can be the first of many');
  await write(files);
  if (shared) {
    await spreadPages(files.pages, files.base, about.machine.memoryMib);
    await rm(files.pages);
  } else {
    await sameMemory(memory, files.base);
  }
  const temporary = `${files.manifest}.new`;
  await writeFile(temporary, JSON.stringify(manifest.parse({ ...about, shared })), { mode: 0o600, flush: true });
  await syncPath(files.state);
  await rename(temporary, files.manifest);
  await syncPath(folder);
  return { folder, ...about };
}

/**
 * @returns whether its memory is one for many
 * @throws VmmError when it is damaged, or of another kind of machine than `key`
 */
export async function checkSnapshot(snapshot: Snapshot, key: string): Promise<{ shared: boolean }> {
  const files = snapshotFiles(snapshot.folder);
  const text = await readFile(files.manifest, 'utf8').catch(() => undefined);
  if (text === undefined) throw new VmmError(`there is no complete snapshot in ${snapshot.folder}`);
  const written = manifest.safeParse(parse(text)).data;
  if (written === undefined) throw new VmmError(`the snapshot in ${snapshot.folder} is damaged`);
  if (written.key !== key) throw new VmmError(`the snapshot was made by ${written.key}, this is ${key}`);
  const base = await stat(files.base).catch(() => undefined);
  if (base?.size !== written.machine.memoryMib * 1024 * 1024) throw new VmmError(`the memory in ${snapshot.folder} is damaged`);
  if (!written.shared) await checkPages(files.pages);
  return written;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Name and features: a guest that has seen a feature must find it again. */
async function hostCpu(): Promise<string> {
  const info = await readFile('/proc/cpuinfo', 'utf8');
  const lines = info.split('\n').filter((line) => /^(model name|flags)\s/.test(line));
  return createHash('sha256').update(lines.slice(0, 2).join('\n')).digest('hex').slice(0, 16);
}
