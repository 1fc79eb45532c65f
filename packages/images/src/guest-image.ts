import { cp, link, mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ensureBase } from './base.ts';
import type { Builder } from './builder.ts';
import { bundleGuest } from './bundle.ts';
import { makeFileSystem } from './file-system.ts';
import { lockClosure } from './lock-closure.ts';
import { folderRecipe, keyOf } from './recipe.ts';
import { step } from './steps.ts';
import type { Artifact } from './store.ts';

const recipeFolder = 'packages/images/guest';
/** Workspaces whose sources go into the bundles. */
const bundled = ['packages/guest', 'packages/api', 'packages/daemon'];

/** Content address of kernel, initramfs and tools: their recipe, the sources of the guest's services and what these import. */
export async function guestKey(repoRoot: string, baseKey: string): Promise<string> {
  const sources = await Promise.all(
    bundled.map(async (folder) => folderRecipe(join(repoRoot, folder, 'src'), (path) => path.endsWith('.test.ts'))),
  );
  const lock: unknown = JSON.parse(await readFile(join(repoRoot, 'package-lock.json'), 'utf8'));
  const recipe = await folderRecipe(join(repoRoot, recipeFolder));
  return keyOf(
    'guest',
    baseKey,
    makeFileSystem('', ''),
    recipe,
    sources,
    lockClosure(lock, 'packages/guest'),
    nodePackage(repoRoot).version,
  );
}

/** Builds `packages/images/guest` to `vmlinuz`, `initrd.gz`, `kernel-version`, `qemu-preload.so` and `tools.img`. */
export async function buildGuest(builder: Builder, key: string, baseKey: string): Promise<Artifact> {
  const from = await ensureBase(builder, baseKey);
  const context = await builder.store.workspace();
  await cp(join(builder.repoRoot, recipeFolder), context, { recursive: true });
  const node = nodePackage(builder.repoRoot).binary;
  await link(node, join(context, 'node')).catch(async () => cp(node, join(context, 'node')));
  await mkdir(join(context, 'bundles'));
  await step(builder.progress, "Bundling the guest's services", async () => bundleGuest(builder.repoRoot, join(context, 'bundles')));
  const tag = `localhost/citb-guest:${key}`;
  await step(builder.progress, 'Fetching the kernel and preparing the guest', async () =>
    builder.buildDockerfile({ what: 'the guest', context, tag, from }),
  );
  const result = await builder.store.workspace();
  const script = `cp "$ROOT"/out/vmlinuz "$ROOT"/out/initrd.gz "$ROOT"/out/kernel-version "$ROOT"/out/qemu-preload.so "$TARGET"\n${makeFileSystem('$ROOT/out/tools', '$TARGET/tools.img')}`;
  return await step(builder.progress, "Making the guest's drive", async () => {
    await builder.buildah.withFiles("The guest's drive could not be made", tag, script, { TARGET: result });
    return await builder.store.publish(`guest-${key}`, result);
  });
}

/** Node for the guest: the npm package that also runs the host. */
function nodePackage(repoRoot: string): { version: string; binary: string } {
  const find = createRequire(join(repoRoot, 'package.json'));
  const file = find.resolve(`node-linux-${process.arch}/package.json`);
  const { version } = z.object({ version: z.string() }).parse(find(file));
  return { version, binary: join(dirname(file), 'bin/node') };
}
