import { rm } from 'node:fs/promises';
import type { Cgroups } from '../cgroup.ts';
import { vmFiles } from './files.ts';

/** Removes what a VM leaves when its process is gone: its cgroup (with what QEMU started), its memory's file and its sockets. Console and QEMU's log stay. */
export async function removeLeftovers(cgroups: Cgroups, of: { readonly runId: string; readonly folder: string }): Promise<void> {
  await cgroups.remove(of.runId);
  const { memory, own } = vmFiles(of.folder);
  await rm(memory, { force: true });
  await rm(own, { recursive: true, force: true });
}
