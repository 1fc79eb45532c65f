import { chmod, copyFile, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@citb/daemon';
import { contractPort, vmmContract } from '@citb/host/vmm/vmm.contract.ts';
import { createQemu } from '@citb/host/vmm/qemu/qemu.ts';
import { createImages, defaultDataDir } from '@citb/images';
import { makeLineGuest } from './line-guest.ts';

const repoRoot = new URL('../../', import.meta.url).pathname;

vmmContract('QEMU', async () => {
  const {
    kernel: builtKernel,
    initrd: builtInitrd,
    cmdline,
  } = await createImages({ dataDir: defaultDataDir(process.env), repoRoot }).get('bash');
  const dataDir = await mkdtemp(join(tmpdir(), 'citb-'));
  // Machines run under a uid of their own and must be able to come to their folder.
  await chmod(dataDir, 0o711);
  const kernel = join(dataDir, 'vmlinuz');
  const bootInitrd = join(dataDir, 'initrd.gz');
  await copyFile(builtKernel, kernel);
  await copyFile(builtInitrd, bootInitrd);
  const initrd = await makeLineGuest(builtInitrd, dataDir);
  let count = 0;
  const options = { dataDir, bootImageForProbe: { kernel, initrd: bootInitrd } };
  return {
    dataDir,
    create: () => createQemu({ ...options, log: createLog('test', 'silent') }),
    spec: async () => {
      count += 1;
      const folder = join(dataDir, 'boxes', String(count));
      await mkdir(folder, { recursive: true });
      const disk = join(folder, 'disk');
      await writeFile(disk, Buffer.alloc(1024 * 1024));
      return {
        runId: `run_${process.pid}-${count}`,
        folder,
        machine: { cpus: 1, memoryMib: 192 },
        boot: { kernel, initrd, cmdline },
        drives: [{ path: disk, readOnly: false }],
        network: { address: `127.${96 + (process.pid & 15)}.${(process.pid >> 4) & 255}.${count}`, ports: [contractPort] },
        brokerSocket: join(folder, 'broker.sock'),
      };
    },
    bootAndDie: `
      import { createQemu } from '@citb/host/vmm/qemu/qemu.ts';
      import { readConsole } from '@citb/host/vmm/console.ts';
      import { createLog } from '@citb/daemon';
      const options = ${JSON.stringify(options)};
      const spec = JSON.parse(process.argv.at(-1));
      const vm = await createQemu({ ...options, log: createLog('test', 'silent') }).boot(spec);
      while (!(await readConsole(spec.folder)).includes('up')) await new Promise((resolve) => setTimeout(resolve, 50));
      process.stdout.write(JSON.stringify(vm.record), () => process.kill(process.pid, 'SIGKILL'));`,
  };
});
