import { readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cgroups } from './cgroup.ts';

/**
 * How long a group must have been empty, ms. A group is made a moment before its process is put into it, possibly by another
 * daemon of this machine; one that is empty that long has lost its machine.
 */
const emptyMs = 30_000;

/** Finds the groups of runs whose processes are all gone: left by a daemon and a VMM that died together. */
export class CgroupSweep {
  readonly #emptyMs: number;
  readonly #mayGo: (name: string) => boolean;
  /** When each group was first seen empty; a group that is in use again is forgotten. */
  #emptySince = new Map<string, number>();

  constructor(minimumMs = emptyMs, mayGo: (name: string) => boolean = () => true) {
    this.#emptyMs = minimumMs;
    this.#mayGo = mayGo;
  }

  /** Removes what has been empty since an earlier sweep. Returns the names of the groups. */
  async sweep(kind: Cgroups['kind'], root = '/sys/fs/cgroup'): Promise<string[]> {
    const now = performance.now();
    const before = this.#emptySince;
    this.#emptySince = new Map();
    const removed = new Set<string>();
    for (const parent of parents(kind, root)) {
      for (const name of await runsIn(parent)) {
        const group = join(parent, name);
        if (!this.#mayGo(name) || !(await isEmpty(group))) continue;
        const since = before.get(group) ?? now;
        if (since === now || now - since < this.#emptyMs) this.#emptySince.set(group, since);
        // The kernel refuses to remove a group that has got a process in the meantime.
        else if (await succeeds(rmdir(group))) removed.add(name);
      }
    }
    return [...removed];
  }
}

function parents(kind: Cgroups['kind'], root: string): string[] {
  if (kind === 'none') return [];
  return kind === 'v2' ? [join(root, 'citb')] : ['memory', 'cpu', 'pids'].map((controller) => join(root, controller, 'citb'));
}

async function runsIn(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

async function isEmpty(group: string): Promise<boolean> {
  return (await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => 'unknown')) === '';
}

async function succeeds(work: Promise<void>): Promise<boolean> {
  return await work.then(
    () => true,
    () => false,
  );
}
