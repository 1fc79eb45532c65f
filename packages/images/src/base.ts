import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { aptNetworkSettings, aptSources } from './apt-sources.ts';
import type { Builder } from './builder.ts';
import { run } from './command.ts';
import { folderRecipe, keyOf } from './recipe.ts';
import { step } from './steps.ts';

const release = 'bookworm';

/** minbase: dpkg, apt and what they need. Manuals and translations are left out: nobody reads them in a box. */
const bootstrap = [
  '--variant=minbase',
  '--include=ca-certificates,debian-archive-keyring',
  '--dpkgopt=path-exclude=/usr/share/man/*',
  '--dpkgopt=path-exclude=/usr/share/locale/*',
  '--dpkgopt=path-exclude=/usr/share/doc/*',
  '--dpkgopt=path-include=/usr/share/doc/*/copyright',
];

/**
 * For root: mmdebstrap mounts /proc, /sys and /dev in its folder, and killed at the wrong moment leaves them mounted on the
 * host, where whoever cleans the folder would delete through them. In namespaces of its own they end with it, and so do its children.
 */
const alone = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** Content address of what every runtime stands on: `images/base` on a bootstrapped Debian. */
export async function baseKey(repoRoot: string): Promise<string> {
  return keyOf('base', release, bootstrap, await folderRecipe(join(repoRoot, 'images/base')));
}

/** Name of the base in buildah's storage; Dockerfiles call it `localhost/citb-base`. */
export function baseTag(key: string): string {
  return `localhost/citb-base:${key}`;
}

/** Builds the base when buildah's storage has not got it. */
export async function ensureBase(builder: Builder, key: string): Promise<string> {
  const tag = baseTag(key);
  if (await builder.buildah.exists(tag)) return tag;
  const folder = await builder.store.workspace();
  await cp(join(builder.repoRoot, 'images/base'), folder, { recursive: true });
  await step(builder.progress, 'Installing a minimal Debian (mmdebstrap)', async () => bootstrapDebian(folder));
  await step(builder.progress, 'Making the base image', async () => builder.buildDockerfile({ what: 'the base', context: folder, tag }));
  return tag;
}

async function bootstrapDebian(folder: string): Promise<void> {
  const sources = await aptSources(release);
  const list = join(folder, 'sources.list');
  const settings = join(folder, 'apt.conf');
  await writeFile(list, `${sources.join('\n')}\n`);
  await writeFile(settings, await aptNetworkSettings());
  const args = [
    ...bootstrap,
    `--aptopt=${settings}`,
    // Settings of this machine's network are for the bootstrap only.
    '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
    release,
    join(folder, 'debian.tar'),
    ...(sources.length > 0 ? [list] : []),
  ];
  const what = 'A minimal Debian could not be installed';
  // A normal user's bootstrap has namespaces of its own.
  if (process.getuid?.() !== 0) await run(what, 'mmdebstrap', args);
  else await run(what, 'unshare', [...alone, 'mmdebstrap', ...args], { env: { TMPDIR: folder } });
}
