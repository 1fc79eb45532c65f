import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buildLock } from './build-lock.ts';
import { Buildah, type DockerfileBuild } from './buildah.ts';
import { buildSettings } from './build-settings.ts';
import type { Progress } from './images.ts';
import { ArtifactStore } from './store.ts';

/** What a build step works with. Exists only while this process holds the build lock. */
export interface Builder {
  readonly repoRoot: string;
  readonly store: ArtifactStore;
  readonly buildah: Buildah;
  readonly progress: Progress;
  /** {@link Buildah.build} with the machine's settings for reaching package archives. */
  buildDockerfile(build: Omit<DockerfileBuild, 'settings' | 'env'>): Promise<void>;
}

/** Runs `work` as the only builder in this data directory, after removing what an interrupted one left. */
export async function asBuilder<T>(
  place: { readonly root: string; readonly repoRoot: string; readonly progress: Progress },
  work: (builder: Builder) => Promise<T>,
): Promise<T> {
  const { root, repoRoot, progress } = place;
  await mkdir(root, { recursive: true, mode: 0o755 });
  await using held = new AsyncDisposableStack();
  held.use(await buildLock(join(root, 'build.lock'), () => progress('Waiting for another process that builds images ...')));
  const store = new ArtifactStore(root);
  const buildah = new Buildah(root, store.temporary);
  await store.clean();
  await buildah.clean();
  try {
    return await work({
      repoRoot,
      store,
      buildah,
      progress,
      async buildDockerfile(build) {
        const settings = await store.workspace();
        const env = await buildSettings(settings);
        await buildah.build({ ...build, settings, env });
      },
    });
  } finally {
    await store.clean();
  }
}
