import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { rolldown } from 'rolldown';
import { ImageError } from './image-error.ts';

/** Found beside the bundle at run time: a native addon, and the SDK that only the runtime image has. */
const external = ['@lydell/node-pty', '@anthropic-ai/claude-agent-sdk'];

/** Writes the guest's two services as one file each: `envd/main.mjs` and `agent/main.mjs` in `target`. */
export async function bundleGuest(repoRoot: string, target: string): Promise<void> {
  for (const service of ['envd', 'agent']) {
    await bundle(join(repoRoot, 'packages/guest/src', service, 'main.ts'), join(target, service));
  }
  const find = createRequire(join(repoRoot, 'packages/guest/package.json'));
  for (const name of ['@lydell/node-pty', `@lydell/node-pty-linux-${process.arch}`]) {
    const folder = join(target, 'envd/node_modules', name);
    await mkdir(dirname(folder), { recursive: true });
    await cp(dirname(find.resolve(`${name}/package.json`)), folder, { recursive: true });
  }
  await mkdir(join(target, 'agent/node_modules'), { recursive: true });
  await symlink('/opt/claude-agent/node_modules/@anthropic-ai', join(target, 'agent/node_modules/@anthropic-ai'));
}

async function bundle(input: string, folder: string): Promise<void> {
  try {
    await using bundled = await rolldown({ input, platform: 'node', external, logLevel: 'silent' });
    await bundled.write({ dir: folder, format: 'esm', entryFileNames: 'main.mjs', codeSplitting: false });
    await writeFile(join(folder, 'package.json'), '{"type":"module"}\n');
  } catch (error) {
    throw new ImageError(`The guest service ${input} could not be bundled: ${String(error)}`, 'Run `npm ci`, then try again.', [], error);
  }
}
