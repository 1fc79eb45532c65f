import { readFileSync } from 'node:fs';
import { access, chmod, constants, copyFile, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { x } from 'tinyexec';
import { z } from 'zod';
import { bootId } from '../process.ts';
import type { VmmReport, VmSpec } from '../vmm.ts';
import { findIsolation } from './isolation.ts';
import { lastWords, notInstalled } from '../launch.ts';
import { preloadedLibrary, vmFiles } from './files.ts';
import type { QemuOptions } from './qemu.ts';
import { type QemuFacts, startVm } from './start.ts';
import { x86_64 } from './x86-64.ts';

/** With KVM the guest is there in less than a second; broken KVM aborts, or hangs for ever. */
const kvmMs = 10_000;
/** In software 1-2 s, and much more on a machine out of breath. */
const tcgMs = 120_000;
const success = 'CITB-PROBE-OK';

export interface Probe {
  readonly report: VmmReport;
  /** Undefined when QEMU cannot be used here. */
  readonly facts: QemuFacts | undefined;
}

const verdict = z.object({ key: z.string(), accelerator: z.enum(['kvm', 'tcg']), reason: z.string() });
type Verdict = Pick<z.infer<typeof verdict>, 'accelerator' | 'reason'>;

/**
 * Finds out what QEMU can do here by booting a guest: a device file that can be opened proves nothing. The verdict is kept in
 * `qemu-probe.json` until the machine, QEMU or the kernel is another one. Never throws.
 */
export async function probeQemu(options: QemuOptions, signal?: AbortSignal): Promise<Probe> {
  await mkdir(options.dataDir, { recursive: true });
  const isolation = await findIsolation(options.dataDir, options.uidBase);
  const report = (usable: boolean, version: string, accelerator: string, reason: string): VmmReport => ({
    usable,
    version,
    accelerator,
    reason: `${reason}; ${isolation.reason}`,
    isolation: { uid: isolation.users !== undefined, cgroup: isolation.cgroups.kind, seccomp: true },
  });
  const unusable = (version: string, reason: string): Probe => ({ report: report(false, version, 'none', reason), facts: undefined });
  if (process.arch !== x86_64.host) return unusable('', `the QEMU driver is for x86_64 hosts, this is ${process.arch}`);
  if (!(await isThere('socat'))) return unusable('', notInstalled('socat'));
  const version = await qemuVersion();
  if (version === undefined) return unusable('', notInstalled(x86_64.binary));
  const facts = { version, isolation, preload: await keepLibrary(options), log: options.log };
  try {
    const { accelerator, reason } = await chooseAccelerator(options, facts, signal);
    return { report: report(true, version, accelerator, reason), facts: { ...facts, accelerator } };
  } catch (error) {
    return unusable(version, `QEMU boots no machine here: ${(error as Error).message}`);
  }
}

async function keepLibrary({ dataDir, preload }: QemuOptions): Promise<string> {
  const path = preloadedLibrary(dataDir);
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  await copyFile(preload, unfinished);
  await chmod(unfinished, 0o555);
  await rename(unfinished, path);
  return path;
}

async function chooseAccelerator(options: QemuOptions, facts: Omit<QemuFacts, 'accelerator'>, signal?: AbortSignal): Promise<Verdict> {
  const path = join(options.dataDir, 'qemu-probe.json');
  const key = await verdictKey(options, facts);
  const known = readVerdict(path, key);
  if (known !== undefined) return known;
  const found = await tryKvm(options, facts, signal);
  if (found.accelerator === 'tcg') await tryBoot(options, { ...facts, accelerator: 'tcg' }, tcgMs, signal);
  options.log.info({ accelerator: found.accelerator, reason: found.reason }, 'probed QEMU');
  await writeFile(`${path}.new`, JSON.stringify({ key, ...found }));
  await rename(`${path}.new`, path);
  return found;
}

async function tryKvm(options: QemuOptions, facts: Omit<QemuFacts, 'accelerator'>, signal?: AbortSignal): Promise<Verdict> {
  try {
    await access('/dev/kvm', constants.F_OK);
  } catch {
    return { accelerator: 'tcg', reason: 'software emulation, about ten times slower: this machine has no /dev/kvm' };
  }
  try {
    await tryBoot(options, { ...facts, accelerator: 'kvm' }, kvmMs, signal);
    return { accelerator: 'kvm', reason: 'a machine booted with KVM' };
  } catch (error) {
    signal?.throwIfAborted();
    return {
      accelerator: 'tcg',
      reason: `software emulation, about ten times slower: KVM does not work here: ${(error as Error).message}`,
    };
  }
}

/** @throws with the reason when the guest has not spoken within `deadlineMs` */
async function tryBoot(options: QemuOptions, facts: QemuFacts, deadlineMs: number, signal?: AbortSignal): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = join(options.dataDir, 'probe');
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  // Of a daemon that was killed while it probed.
  await remove();
  await mkdir(folder, { mode: 0o700 });
  stack.defer(remove);
  const vm = await startVm(facts, probeSpec(options, folder), undefined, signal);
  stack.defer(() => vm.kill());
  const spoken = new Promise<true>((resolve) => {
    const look = () => vm.console().includes(success) && resolve(true);
    stack.defer(vm.onConsole(look));
    look();
  });
  const late = new Promise<false>((resolve) => {
    const timer = setTimeout(() => resolve(false), deadlineMs);
    stack.defer(() => clearTimeout(timer));
  });
  const ended = vm.exited.then(
    async () => vm.console().includes(success) || Promise.reject(new Error(await lastWords(vmFiles(folder).log))),
  );
  if (!(await Promise.race([spoken, ended, late]))) throw new Error(`the guest said nothing within ${deadlineMs / 1000} s`);
  signal?.throwIfAborted();
}

function probeSpec(options: QemuOptions, folder: string): VmSpec {
  return {
    runId: `run_probe-${randomBytes(8).toString('hex')}`,
    folder,
    machine: { cpus: 1, memoryMib: 256 },
    boot: { ...options.bootImageForProbe, cmdline: `${x86_64.kernelCommandLine} citb.probe` },
    drives: [],
    network: { address: '127.127.255.254', ports: [] },
    brokerSocket: undefined,
  };
}

/** Who QEMU runs as is part of it: KVM may be closed to a box's uid. */
async function verdictKey(options: QemuOptions, facts: Omit<QemuFacts, 'accelerator'>): Promise<string> {
  const { kernel } = options.bootImageForProbe;
  const { size, mtimeMs } = await stat(kernel);
  return [bootId(), facts.version, kernel, size, mtimeMs, facts.isolation.users === undefined ? 'daemon' : 'box'].join(' ');
}

function readVerdict(path: string, key: string): Verdict | undefined {
  try {
    const kept = verdict.parse(JSON.parse(readFileSync(path, 'utf8')));
    return kept.key === key ? kept : undefined;
  } catch {
    return undefined;
  }
}

async function qemuVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await x(x86_64.binary, ['--version'], { timeout: 20_000 });
    return /version (\S+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

async function isThere(program: string): Promise<boolean> {
  return x(program, ['-V'], { timeout: 20_000 }).then(
    (result) => result.exitCode === 0,
    () => false,
  );
}
