import { access, chmod, chown, mkdir, rm, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { findCgroups, type Cgroups } from '../cgroup.ts';
import type { VmSpec } from '../vmm.ts';
import { vmFiles } from './files.ts';

/**
 * What stands between a QEMU that a guest has taken over and the host. As an ordinary user there is seccomp only: QEMU
 * may then do what that user may.
 */
export interface Isolation {
  /** Each box has a uid of its own; undefined: all run as the daemon's user, for the reason given. */
  readonly users: { readonly uidBase: number; readonly kvmGroup: number | undefined } | undefined;
  readonly reason: string;
  readonly cgroups: Cgroups;
}

/** Above what distributions, container tools and service managers hand out; 2^22 of them are used. */
export const defaultUidBase = 2_000_000_000;

/** @param dataDir is opened for passing through (not for listing), so that QEMU comes to its box's folder */
export async function findIsolation(dataDir: string, uidBase = defaultUidBase): Promise<Isolation> {
  const cgroups = await findCgroups();
  const without = (reason: string): Isolation => ({ users: undefined, reason, cgroups });
  if (process.getuid?.() !== 0) return without('not root: QEMU runs as the same user as the daemon');
  if (!(await isInstalled('setpriv'))) return without('setpriv (package util-linux) is missing: QEMU runs as root');
  await chmod(dataDir, ((await stat(dataDir)).mode & 0o777) | 0o011);
  const closed = await closedFolder(dirname(dataDir));
  if (closed !== undefined) return without(`${closed} is closed to other users (chmod o+x): QEMU runs as root`);
  return { users: { uidBase, kvmGroup: await kvmGroup() }, reason: 'each box has its own uid', cgroups };
}

/** The box's own uid: by its address, which no other box of this machine has at the time. */
export function boxUid(isolation: Isolation, spec: VmSpec): number | undefined {
  return isolation.users === undefined ? undefined : uidOfAddress(spec.network.address, isolation.users.uidBase);
}

/** The uid that goes with an address of 127.64.0.0/10: who serves a box's sockets must know it too. */
export function uidOfAddress(address: string, uidBase = defaultUidBase): number {
  const [, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return uidBase + (((b & 63) << 16) | (c << 8) | d);
}

/** Makes what the box's QEMU may write its own, and nothing else. Sockets of an earlier run go. */
export async function prepareFolder(spec: VmSpec, uid: number | undefined): Promise<void> {
  const { own } = vmFiles(spec.folder);
  await rm(own, { recursive: true, force: true });
  await mkdir(own, { mode: 0o700 });
  if (uid === undefined) return;
  // Passing through for the box's group only: other boxes must not come to its sockets, nor the box change the host's files.
  await chown(spec.folder, 0, uid);
  await chmod(spec.folder, 0o710);
  await chown(own, uid, uid);
  for (const drive of spec.drives) {
    if (!drive.readOnly) await chown(drive.path, uid, uid);
  }
}

/** The command that becomes `command` with the rights of a box. */
export function withRights(isolation: Isolation, uid: number | undefined, command: readonly string[]): string[] {
  if (uid === undefined) return [...command];
  const group = isolation.users?.kvmGroup;
  const groups = group === undefined ? '--clear-groups' : `--groups=${group}`;
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, groups, '--inh-caps=-all', '--no-new-privs', '--', ...command];
}

/** The first folder on the way that other users may not pass; undefined when there is none. */
async function closedFolder(path: string): Promise<string | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

async function isInstalled(program: string): Promise<boolean> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (
      await access(join(folder, program)).then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  return false;
}

/** The group that may use /dev/kvm, when it is not root's alone. */
async function kvmGroup(): Promise<number | undefined> {
  const device = await stat('/dev/kvm').catch(() => undefined);
  return device !== undefined && device.gid !== 0 && (device.mode & 0o060) === 0o060 ? device.gid : undefined;
}
