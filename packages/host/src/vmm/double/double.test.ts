import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contractPort, vmmContract } from '../vmm.contract.ts';
import { createDouble } from './double.ts';

const program = new URL('line-machine.ts', import.meta.url).href;

vmmContract('the double', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'citb-'));
  let count = 0;
  return {
    dataDir,
    create: () => createDouble({ program }),
    spec: async () => {
      const number = ++count;
      const folder = join(dataDir, 'boxes', String(number));
      await mkdir(folder, { recursive: true });
      const disk = join(folder, 'disk');
      await writeFile(disk, '');
      return {
        runId: `run_${process.pid}-${number}`,
        folder,
        machine: { cpus: 1, memoryMib: 128 },
        boot: { kernel: '', initrd: '', cmdline: '' },
        drives: [{ path: disk, readOnly: false }],
        // By pid, so that several runs of this suite at once do not meet.
        network: { address: `127.${64 + (process.pid & 31)}.${(process.pid >> 5) & 255}.${number}`, ports: [contractPort] },
        brokerSocket: undefined,
      };
    },
    bootAndDie: `
      import { createDouble } from ${JSON.stringify(new URL('double.ts', import.meta.url).href)};
      import { readConsole } from ${JSON.stringify(new URL('../console.ts', import.meta.url).href)};
      const spec = JSON.parse(process.argv.at(-1));
      const vm = await createDouble({ program: ${JSON.stringify(program)} }).boot(spec);
      while (!(await readConsole(spec.folder)).includes('up')) await new Promise((resolve) => setTimeout(resolve, 50));
      process.stdout.write(JSON.stringify(vm.record), () => process.kill(process.pid, 'SIGKILL'));`,
  };
});
