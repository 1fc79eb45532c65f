import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { tscParameter } from '@citb/host/vmm/qemu/clock-rate.ts';
import { x86_64 } from '@citb/host/vmm/qemu/x86-64.ts';
import { createImages, defaultDataDir } from '@citb/images';
import { percentile, timed } from './measure.ts';

/** Median time of three machines that only boot the kernel and the initramfs, say so, and end; ms. What no product can be faster than. */
export async function bootAlone(): Promise<number> {
  const image = await createImages({ dataDir: defaultDataDir(process.env), repoRoot: new URL('../', import.meta.url).pathname }).get(
    'bash',
    console.log,
  );
  const samples: number[] = [];
  for (let round = 0; round < 3; round++)
    samples.push((await timed(() => boot(image.kernel, image.initrd, `${image.cmdline}${tscParameter()} citb.probe`))).ms);
  return percentile(samples, 0.5);
}

async function boot(kernel: string, initrd: string, cmdline: string): Promise<void> {
  const machine = [
    '-M',
    x86_64.machine,
    '-accel',
    'tcg,thread=multi',
    '-cpu',
    x86_64.cpu.tcg,
    '-m',
    '256',
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
  ];
  const child = spawn(
    x86_64.binary,
    [...machine, '-no-reboot', '-serial', 'stdio', '-kernel', kernel, '-initrd', initrd, '-append', cmdline],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 120_000,
    },
  );
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(child, 'close');
  if (!said.includes('CITB-PROBE-OK')) throw new Error(`QEMU alone did not boot: ${said.slice(-500)}`);
}
