import { access, lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@citb/daemon';
import type { BootImage, Images } from '@citb/images';
import type { BoxRows } from './boxes/rows.ts';
import type { Phase } from './hostinfo/host-info.ts';

/** The runtime whose image is ready before the host says that it is. */
export const mainRuntime = 'claude-agent';
/** Until a failed build is tried again, ms: a network comes back, a disk is cleared. */
const retryMs = 60_000;

/** What QEMU needs of an image, whatever the runtime. */
type BootFiles = Pick<BootImage, 'kernel' | 'initrd' | 'preload'>;

/**
 * A kernel to try the machine's accelerators with, and QEMU's library. One that boxes already boot from is as good as the present one, and spares
 * an updated host a build before it finds its boxes again.
 * @throws ImageError when there is none and none can be built
 */
export async function findBootImage(images: Images, rows: BoxRows): Promise<BootFiles> {
  const runtimes = await images.runtimes();
  for (const runtime of runtimes) {
    const image = await images.peek(runtime);
    if (image !== undefined) return image;
  }
  for (const { spec } of rows.all()) {
    if (spec === null) continue;
    const files = { ...spec.boot, preload: join(dirname(spec.boot.kernel), 'qemu-preload.so') };
    if (await areThere(files)) return files;
  }
  return await images.get(runtimes.includes('bash') ? 'bash' : (runtimes[0] ?? mainRuntime));
}

async function areThere({ kernel, initrd, preload }: BootFiles): Promise<boolean> {
  return await Promise.all([kernel, initrd, preload].map((path) => access(path))).then(
    () => true,
    () => false,
  );
}

/**
 * Removes images of earlier versions that no box runs from, and no checkpoint would. Not where `images` is a link: other hosts share them then, whose boxes
 * are not known here.
 */
export async function pruneImages(
  images: Images,
  rows: BoxRows,
  dataDir: string,
  alsoInUse: readonly string[],
): Promise<readonly string[]> {
  if ((await lstat(join(dataDir, 'images'))).isSymbolicLink()) return [];
  const inUse = rows.all().flatMap(({ spec }) => (spec === null ? [] : [spec.boot.kernel, ...spec.drives.map((drive) => drive.path)]));
  return await images.prune([...inUse, ...alsoInUse]);
}

/** Builds the image of the agent's runtime, again and again until it is there; `reach` is told how it stands. Never throws. */
export async function warmUp(
  images: Images,
  { log, tell, signal }: { log: Logger; tell: (line: string) => void; signal: AbortSignal },
  reach: (phase: Phase) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await images.get(mainRuntime);
      reach({ status: 'ok' });
      return;
    } catch (error) {
      const reason = `The image ${mainRuntime} could not be built: ${(error as Error).message}`;
      log.error({ err: error }, 'an image could not be built; it is tried again');
      tell(reason);
      reach({ status: 'failed', reason });
    }
    await sleep(retryMs, undefined, { signal }).catch(() => undefined);
  }
}
