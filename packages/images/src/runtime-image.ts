import { cp, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Builder } from './builder.ts';
import { run } from './command.ts';
import { makeFileSystem } from './file-system.ts';
import { folderRecipe, keyOf } from './recipe.ts';
import { ensureBase } from './base.ts';
import { step } from './steps.ts';
import type { Artifact } from './store.ts';

/** Content address of a runtime's root file system. The manifest is not part of it: it changes no byte of the drive. */
export async function runtimeKey(repoRoot: string, runtime: string, baseKey: string): Promise<string> {
  const recipe = await folderRecipe(join(repoRoot, 'images', runtime), (path) => path === 'manifest.json' || path.includes('node_modules'));
  return keyOf('runtime', baseKey, makeFileSystem('', ''), recipe);
}

/** Builds `images/<runtime>` to `root.img`. */
export async function buildRuntime(builder: Builder, runtime: string, key: string, baseKey: string): Promise<Artifact> {
  const from = await ensureBase(builder, baseKey);
  const context = await builder.store.workspace();
  await cp(join(builder.repoRoot, 'images', runtime), context, { recursive: true });
  const npm = join(context, 'npm');
  if (
    await stat(npm).then(
      () => true,
      () => false,
    )
  ) {
    await step(builder.progress, `Fetching the npm packages of ${runtime}`, async () => fetchPackages(runtime, npm));
  }
  const tag = `localhost/citb-${runtime}:${key}`;
  await step(builder.progress, `Building the image of ${runtime}`, async () =>
    builder.buildDockerfile({ what: `the runtime ${runtime}`, context, tag, from }),
  );
  const result = await builder.store.workspace();
  return await step(builder.progress, `Making the drive of ${runtime}`, async () => {
    await builder.buildah.withFiles(`The drive of ${runtime} could not be made`, tag, makeFileSystem('$ROOT', '$TARGET'), {
      TARGET: join(result, 'root.img'),
    });
    return await builder.store.publish(`root-${runtime}-${key}`, result);
  });
}

/**
 * A runtime's `npm` folder is a package.json with its lock file; npm fetches it on the host, where the machine's npm
 * settings are, and the Dockerfile copies from `npm/node_modules`. Without install scripts: they would run on the host.
 */
async function fetchPackages(runtime: string, folder: string): Promise<void> {
  await readFile(join(folder, 'package-lock.json'));
  await run(
    `The npm packages of ${runtime} could not be fetched`,
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: folder,
    },
  );
}
