import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type Finding, failure, ok, warning } from './check.ts';

/** Programs that a host needs, and the Debian packages that bring them: those that `npm run setup` installs. */
export const programs: Readonly<Record<string, string>> = {
  [process.arch === 'arm64' ? 'qemu-system-aarch64' : 'qemu-system-x86_64']:
    process.arch === 'arm64' ? 'qemu-system-arm' : 'qemu-system-x86',
  mmdebstrap: 'mmdebstrap',
  buildah: 'buildah',
  crun: 'crun',
  'mkfs.erofs': 'erofs-utils',
  socat: 'socat',
  sfdisk: 'fdisk',
  'mkfs.ext4': 'e2fsprogs',
  setpriv: 'util-linux',
};
/** What only a normal user needs: user namespaces instead of root. */
export const rootlessPrograms: Readonly<Record<string, string>> = { newuidmap: 'uidmap', 'fuse-overlayfs': 'fuse-overlayfs' };
/** Where Debian puts what is not in every user's PATH. */
const systemFolders = ['/usr/sbin', '/sbin'];

/** The Node that runs this; citb starts the right one by itself. */
export function checkNode(): Finding {
  return Number(process.versions.node.split('.')[0]) >= 26
    ? ok('node', process.version)
    : failure('node', `${process.version} is too old`, 'Run `npm install` in the repository: it brings Node 26.');
}

/** The system packages. */
export async function checkPrograms(path: string): Promise<Finding> {
  if (process.platform !== 'linux')
    return failure('system', process.platform, 'A host runs on Linux only; from here use one with CITB_URL.');
  const folders = [...path.split(delimiter), ...systemFolders];
  const wanted = Object.entries({ ...programs, ...(process.getuid?.() === 0 ? {} : rootlessPrograms) });
  const found = await Promise.all(wanted.map(async ([program]) => hasProgram(program, folders)));
  const missing = wanted.filter((_, index) => found[index] !== true);
  if (missing.length === 0) return ok('packages', wanted.map(([program]) => program).join(', '));
  const packages = missing.map(([, debianPackage]) => debianPackage).join(' ');
  return failure(
    'packages',
    `missing: ${missing.map(([program]) => program).join(', ')}`,
    `sudo apt-get install --no-install-recommends ${packages}`,
  );
}

async function hasProgram(program: string, folders: readonly string[]): Promise<boolean> {
  const places = await Promise.all(folders.map((folder) => can(join(folder, program), constants.X_OK)));
  return places.includes(true);
}

/**
 * /dev/kvm. That it opens is no proof (nested virtualisation without the hardware's help): the host boots a machine to know,
 * and its verdict, where there is one, counts.
 */
export async function checkKvm(
  verdict: { readonly accelerator: string | null; readonly reason: string | null } | undefined,
): Promise<Finding> {
  const slower =
    'Boxes run all the same, several times slower. For speed: a machine with KVM (bare metal, or nested virtualisation turned on).';
  const closed = 'Machines do not run as root. Give /dev/kvm to a group, then restart the host: chgrp kvm /dev/kvm && chmod g+rw /dev/kvm';
  if (verdict !== undefined && verdict.accelerator !== null) {
    const found = `${verdict.accelerator}: ${verdict.reason ?? 'the host does not say why'}`;
    if (verdict.accelerator === 'kvm') return ok('accelerator', found);
    return warning('accelerator', found, /permission denied/i.test(found) ? closed : slower);
  }
  if (!(await can('/dev/kvm', constants.F_OK))) return warning('accelerator', 'there is no /dev/kvm: software emulation', slower);
  if (!(await can('/dev/kvm', constants.R_OK | constants.W_OK))) {
    return warning('accelerator', '/dev/kvm is there, but not for this user', 'sudo usermod -aG kvm $USER, then log in again.');
  }
  return ok('accelerator', '/dev/kvm opens; whether machines boot with it the host finds out when it starts');
}

async function can(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
