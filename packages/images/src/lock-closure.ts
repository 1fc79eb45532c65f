import { z } from 'zod';

const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({
      version: z.string().optional(),
      dependencies: z.record(z.string(), z.string()).optional(),
      optionalDependencies: z.record(z.string(), z.string()).optional(),
      link: z.boolean().optional(),
      resolved: z.string().optional(),
    }),
  ),
});

/**
 * The packages, with versions, that a workspace can load according to package-lock.json: what a bundle of it depends on
 * besides its own source. A change of another workspace's dependencies leaves it as it is.
 */
export function lockClosure(lock: unknown, workspace: string): readonly string[] {
  const { packages } = lockFile.parse(lock);
  const seen = new Set<string>();
  const visit = (at: string): void => {
    if (seen.has(at)) return;
    seen.add(at);
    const entry = packages[at];
    if (entry === undefined) return;
    if (entry.link === true && entry.resolved !== undefined) {
      visit(entry.resolved);
      return;
    }
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
      const found = resolve(packages, at, name);
      if (found !== undefined) visit(found);
    }
  };
  visit(workspace);
  return [...seen].map((at) => `${at}@${packages[at]?.version ?? 'local'}`).toSorted();
}

/** Node's look-up: the nearest node_modules upwards. */
function resolve(packages: Readonly<Record<string, unknown>>, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    const candidate = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (candidate in packages) return candidate;
    if (folder === '') return undefined;
  }
}
