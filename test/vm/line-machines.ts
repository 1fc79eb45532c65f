import { chmod, copyFile, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@citb/daemon';
import type { Vm, Vmm, VmSpec } from '@citb/host/vmm/vmm.ts';
import { contractPort } from '@citb/host/vmm/vmm.contract.ts';
import { createQemu } from '@citb/host/vmm/qemu/qemu.ts';
import { createImages, defaultDataDir } from '@citb/images';
import { makeLineGuest } from './line-guest.ts';

const repoRoot = new URL('../../', import.meta.url).pathname;

/** Real machines with the small guest of line-guest.ts, in a data directory of their own. */
export interface LineMachines {
  readonly dataDir: string;
  /** For `createQemu`, as JSON can carry them. */
  readonly options: {
    readonly dataDir: string;
    readonly bootImageForProbe: { readonly kernel: string; readonly initrd: string };
    readonly preload: string;
  };
  create(): Vmm;
  spec(): Promise<VmSpec>;
}

export async function prepareLineMachines(): Promise<LineMachines> {
  const built = await createImages({ dataDir: defaultDataDir(process.env), repoRoot }).get('bash');
  const dataDir = await mkdtemp(join(tmpdir(), 'citb-'));
  // Machines run under a uid of their own and must be able to come to their folder.
  await chmod(dataDir, 0o711);
  const bootImageForProbe = { kernel: join(dataDir, 'vmlinuz'), initrd: join(dataDir, 'initrd.gz') };
  await copyFile(built.kernel, bootImageForProbe.kernel);
  await copyFile(built.initrd, bootImageForProbe.initrd);
  const initrd = await makeLineGuest(built.initrd, dataDir);
  const options = { dataDir, bootImageForProbe, preload: built.preload };
  let count = 0;
  return {
    dataDir,
    options,
    create: () => createQemu({ ...options, log: createLog('test', 'silent') }),
    spec: async () => {
      const number = ++count;
      const folder = join(dataDir, 'boxes', String(number));
      await mkdir(folder, { recursive: true });
      const disk = join(folder, 'disk');
      await writeFile(disk, Buffer.alloc(1024 * 1024));
      return {
        runId: `run_${process.pid}-${number}`,
        folder,
        machine: { cpus: 1, memoryMib: 192 },
        boot: { kernel: bootImageForProbe.kernel, initrd, cmdline: built.cmdline },
        drives: [{ path: disk, readOnly: false }],
        // By pid, so that several runs at once do not meet.
        network: { address: `127.${96 + (process.pid & 15)}.${(process.pid >> 4) & 255}.${number}`, ports: [contractPort] },
        brokerSocket: join(folder, 'broker.sock'),
      };
    },
  };
}

/** What a shell command says in a line guest. @throws while the guest does not answer yet */
export async function shell(vm: Vm, command: string): Promise<string> {
  const stream = await vm.dial(contractPort);
  stream.write(`sh ${command}\n`);
  return Buffer.concat(await Array.fromAsync(stream as AsyncIterable<Buffer>)).toString();
}
