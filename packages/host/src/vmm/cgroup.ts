import { access, constants, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface CgroupLimits {
  readonly memoryBytes: number;
  /** Cores, also in fractions. */
  readonly cpus: number;
  readonly processes: number;
}

/** Where VMs get their limits. Groups lie under `citb/` at the top: not in the daemon's own group, which a service manager empties when it restarts the daemon. */
export interface Cgroups {
  readonly kind: 'v2' | 'v1' | 'none';
  /** Makes the group of one run; a leftover of the same name is used again. */
  create(runId: string, limits: CgroupLimits): Promise<Cgroup>;
  /** Ends what is in the group and removes it. Does nothing when there is none. */
  remove(runId: string): Promise<void>;
}

export interface Cgroup {
  /** Moves a process, with all its threads, into the group. Children follow. */
  add(pid: number): Promise<void>;
}

const controllers = ['memory', 'cpu', 'pids'] as const;
const periodUs = 100_000;

/**
 * Finds out by trying whether limits can be set here: cgroup v2, the v1 hierarchies (also beside an empty v2, "hybrid"), or neither
 * (no rights, or a container with a read-only tree).
 */
export async function findCgroups(root = '/sys/fs/cgroup'): Promise<Cgroups> {
  for (const kind of ['v2', 'v1'] as const) {
    try {
      await (kind === 'v2' ? prepareV2(root) : prepareV1(root));
      return kind === 'v2' ? v2(root) : v1(root);
    } catch {
      // Not mounted or not ours: the next one.
    }
  }
  return { kind: 'none', create: async () => ({ add: async () => {} }), remove: async () => {} };
}

async function prepareV2(root: string): Promise<void> {
  const offered = (await readFile(join(root, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  if (!controllers.every((name) => offered.includes(name))) throw new Error('controllers are missing');
  const enable = controllers.map((name) => `+${name}`).join(' ');
  await writeFile(join(root, 'cgroup.subtree_control'), enable);
  await mkdir(join(root, 'citb'), { recursive: true });
  await writeFile(join(root, 'citb', 'cgroup.subtree_control'), enable);
}

async function prepareV1(root: string): Promise<void> {
  for (const name of controllers) {
    await access(join(root, name, 'cgroup.procs'));
    await mkdir(join(root, name, 'citb'), { recursive: true });
    // It may be another user's.
    await access(join(root, name, 'citb'), constants.W_OK);
  }
}

function v2(root: string): Cgroups {
  const folder = (runId: string) => join(root, 'citb', runId);
  return {
    kind: 'v2',
    create: async (runId, limits) => {
      const group = folder(runId);
      await mkdir(group, { recursive: true });
      await writeFile(join(group, 'memory.max'), String(limits.memoryBytes));
      await writeFile(join(group, 'memory.oom.group'), '1');
      await writeFile(join(group, 'cpu.max'), `${Math.round(limits.cpus * periodUs)} ${periodUs}`);
      await writeFile(join(group, 'pids.max'), String(limits.processes));
      return { add: (pid) => writeFile(join(group, 'cgroup.procs'), String(pid)) };
    },
    remove: (runId) => removeGroup(folder(runId)),
  };
}

function v1(root: string): Cgroups {
  const folder = (controller: string, runId: string) => join(root, controller, 'citb', runId);
  return {
    kind: 'v1',
    create: async (runId, limits) => {
      for (const name of controllers) await mkdir(folder(name, runId), { recursive: true });
      await writeFile(join(folder('memory', runId), 'memory.limit_in_bytes'), String(limits.memoryBytes));
      await writeFile(join(folder('cpu', runId), 'cpu.cfs_period_us'), String(periodUs));
      await writeFile(join(folder('cpu', runId), 'cpu.cfs_quota_us'), String(Math.round(limits.cpus * periodUs)));
      await writeFile(join(folder('pids', runId), 'pids.max'), String(limits.processes));
      return {
        add: async (pid) => {
          for (const name of controllers) await writeFile(join(folder(name, runId), 'cgroup.procs'), String(pid));
        },
      };
    },
    remove: async (runId) => {
      for (const name of controllers) await removeGroup(folder(name, runId));
    },
  };
}

/** A group can go only when it is empty; its last process leaves it a moment after it has died. */
async function removeGroup(group: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await rmdir(group);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      if (attempt === 100) throw error;
    }
    await killGroup(group);
    await delay(20);
  }
}

async function killGroup(group: string): Promise<void> {
  const members = await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '');
  for (const pid of members.split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // Gone in the meantime.
    }
  }
}
