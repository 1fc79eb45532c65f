import { vmmContract } from '@citb/host/vmm/vmm.contract.ts';
import { prepareLineMachines } from './line-machines.ts';

vmmContract('QEMU', async () => {
  const machines = await prepareLineMachines();
  return {
    ...machines,
    bootAndDie: `
      import { createQemu } from '@citb/host/vmm/qemu/qemu.ts';
      import { readConsole } from '@citb/host/vmm/console.ts';
      import { createLog } from '@citb/daemon';
      const options = ${JSON.stringify(machines.options)};
      const spec = JSON.parse(process.argv.at(-1));
      const vm = await createQemu({ ...options, log: createLog('test', 'silent') }).boot(spec);
      while (!(await readConsole(spec.folder)).includes('up')) await new Promise((resolve) => setTimeout(resolve, 50));
      process.stdout.write(JSON.stringify(vm.record), () => process.kill(process.pid, 'SIGKILL'));`,
  };
});
