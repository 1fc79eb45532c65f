import { createHash } from 'node:crypto';
import { truncate, writeFile } from 'node:fs/promises';
import { createLog } from '@citb/daemon';
import { readConfig } from '@citb/host/config.ts';
import { takeDataFolder } from '@citb/host/data-folder.ts';
import { createDisks } from '@citb/host/disks/disks.ts';
import { startHost } from '@citb/host/host.ts';
import { createDouble } from '@citb/host/vmm/double/double.ts';
import type { BootImage } from '@citb/images';

/** The host daemon on machines of the double: all of it is real but the machines, their images and how a new disk is formatted. */

/** Room for all that a round can write. */
const diskBytes = 32 * 1024 * 1024;

function image(runtime: string): BootImage {
  const nothing = '/dev/null';
  const agent = runtime === 'claude-agent';
  const manifest = { runtime, description: '', agent, memoryMib: agent ? 1024 : 256, cpus: 1 };
  const files = { kernel: nothing, initrd: nothing, root: nothing, tools: nothing, preload: nothing };
  return { runtime, key: `double-${runtime}`, cmdline: '', ...files, manifest };
}

const config = readConfig(process.env);

/** Outside the range of real boxes, another part for each data directory: several hosts of this machine would choose the same. */
const [b = 0, c = 0] = createHash('sha256').update(config.dataDir).digest();
const addresses = Array.from({ length: 250 }, (_, n) => `127.${128 + (b & 63)}.${c}.${n + 1}`);
const log = createLog('host', config.logLevel);
const host = await startHost(config, takeDataFolder(config.dataDir), log, () => undefined, {
  images: () => ({
    runtimes: async () => ['bash', 'claude-agent'],
    get: async (runtime) => image(runtime),
    peek: async (runtime) => image(runtime),
    prune: async () => [],
  }),
  vmm: () => createDouble({ program: new URL('guest.ts', import.meta.url).href }),
  addresses: () => ({ take: async (preferred, taken) => preferred ?? addresses.find((each) => !taken.has(each)) ?? 'none' }),
  disks: () => ({
    ...createDisks(),
    create: async (path) => {
      await writeFile(path, '', { flag: 'a', mode: 0o600 });
      await truncate(path, diskBytes);
    },
  }),
});
process.on('SIGTERM', () => void host.stop().then(() => process.exit(0)));
