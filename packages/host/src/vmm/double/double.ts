import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { Console } from '../console.ts';
import { watchExit } from '../exit.ts';
import { lastWords, launch } from '../launch.ts';
import { commandLines, isAlive, signalProcess, waitGone } from '../process.ts';
import { killMs } from '../process-vm.ts';
import { VmmError } from '../vmm-error.ts';
import type { Snapshot, Vm, Vmm, VmmReport, VmRecord, VmSpec } from '../vmm.ts';
import { doubleFiles, machineFile } from './files.ts';
import { DoubleVm } from './vm.ts';

const startMs = 60_000;
const version = '1';
const machineProgram = new URL('machine.ts', import.meta.url).pathname;
const noCgroup = { add: async () => {} };

const memoryFile = z.record(z.string(), z.unknown());

export interface DoubleOptions {
  /** Path or URL of a module that exports `serve` (see guest.ts): what the machines do. */
  readonly program?: string;
}

/** A driver for tests: each machine is a process of its own, with a life like a VM's; what it does is the given program. */
export function createDouble({ program = new URL('health.ts', import.meta.url).href }: DoubleOptions = {}): Vmm {
  return {
    name: 'double',
    probe: async (): Promise<VmmReport> => ({
      usable: true,
      version,
      accelerator: 'double',
      reason: 'processes instead of virtual machines, for tests',
      isolation: { uid: false, cgroup: 'none', seccomp: false },
    }),
    boot: (spec, signal) => start(program, spec, {}, signal),
    restore: async (spec, snapshot, signal, loaded) => start(program, spec, await readMemory(spec, snapshot), signal, loaded),
    adopt,
    list,
    sweep: async () => [],
    reap: async (record) => {
      if (!isAlive(record)) return;
      signalProcess(record, 'SIGKILL');
      await waitGone(record, killMs);
      await clean(record.folder);
    },
  };
}

async function start(
  program: string,
  spec: VmSpec,
  memory: Record<string, unknown>,
  signal?: AbortSignal,
  loaded?: (record: VmRecord) => void,
): Promise<Vm> {
  signal?.throwIfAborted();
  const files = doubleFiles(spec.folder);
  for (const { path } of spec.drives) {
    await stat(path).catch(() => {
      throw new VmmError(`${path} is missing`);
    });
  }
  await using stack = new AsyncDisposableStack();
  await clean(spec.folder);
  stack.defer(() => clean(spec.folder));
  await mkdir(files.own, { mode: 0o700 });
  await writeFile(files.machine, JSON.stringify(machineFile.parse({ spec, program, memory })));
  // Suites that start hundreds of machines have their programs compiled once.
  const { NODE_COMPILE_CACHE: compiled } = process.env;
  const environment = compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled };
  const { child, identity } = await launch([process.execPath, machineProgram, spec.runId, spec.folder], files.log, noCgroup, environment);
  const exit = watchExit(identity, child);
  stack.defer(async () => {
    signalProcess(identity, 'SIGKILL');
    await waitGone(identity, killMs);
  });
  const record: VmRecord = { driver: 'double', runId: spec.runId, folder: spec.folder, ...identity };
  loaded?.(record);
  const console = await openConsole(record, () => Console.begin(spec.folder, files.serial), signal);
  stack.defer(() => console.close());
  signal?.throwIfAborted();
  stack.move();
  return new DoubleVm({ spec, record, console, exit, key: keyOf(spec), clean: () => clean(spec.folder) });
}

async function adopt(spec: VmSpec, record: VmRecord): Promise<Vm | undefined> {
  const gone = async () => {
    await clean(record.folder);
    return undefined;
  };
  if (!isAlive(record)) return gone();
  const exit = watchExit(record);
  const { serial } = doubleFiles(spec.folder);
  const console = await openConsole(record, () => Console.continue(spec.folder, serial)).catch((error: unknown) => {
    if (isAlive(record)) throw error;
    return undefined;
  });
  if (console === undefined) return gone();
  return new DoubleVm({ spec, record, console, exit, key: keyOf(spec), clean: () => clean(spec.folder) });
}

async function list(root: string): Promise<VmRecord[]> {
  const inside = resolve(root) + sep;
  const found: VmRecord[] = [];
  for await (const { identity, args } of commandLines()) {
    const [, program, runId, folder] = args;
    if (program !== machineProgram || runId === undefined || folder?.startsWith(inside) !== true) continue;
    found.push({ driver: 'double', runId, folder, ...identity });
  }
  return found;
}

/** Connects when the machine's socket is there. @throws VmmError with the machine's last words when it dies */
async function openConsole(record: VmRecord, open: () => Promise<Console>, signal?: AbortSignal): Promise<Console> {
  const end = Date.now() + startMs;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      signal?.throwIfAborted();
      if (!isAlive(record)) throw new VmmError(`the machine ended: ${await lastWords(doubleFiles(record.folder).log)}`, { cause: error });
      if (Date.now() > end) throw new VmmError(`the machine did not start within ${startMs} ms`, { cause: error });
      await delay(10);
    }
  }
}

async function readMemory(spec: VmSpec, snapshot: Snapshot): Promise<Record<string, unknown>> {
  if (snapshot.key !== keyOf(spec)) throw new VmmError(`the snapshot was made by ${snapshot.key}, this is ${keyOf(spec)}`);
  try {
    return memoryFile.parse(JSON.parse(await readFile(join(snapshot.folder, 'memory'), 'utf8')));
  } catch (error) {
    throw new VmmError(`the snapshot in ${snapshot.folder} is damaged`, { cause: error });
  }
}

function keyOf(spec: VmSpec): string {
  return `double/${version}/${spec.machine.cpus}x${spec.machine.memoryMib}`;
}

async function clean(folder: string): Promise<void> {
  await rm(doubleFiles(folder).own, { recursive: true, force: true });
}
