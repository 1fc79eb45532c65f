import { exclusively } from './lock.mjs';
import { node, root } from './paths.mjs';
import { hasProgram, quietly, tail } from './program.mjs';
import { SetupError, say, step } from './say.mjs';

/** Programs that building and running boxes takes, with the Debian package of each. */
const programs = {
  'qemu-system-x86_64': 'qemu-system-x86',
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
const rootlessPrograms = { newuidmap: 'uidmap', 'fuse-overlayfs': 'fuse-overlayfs' };

/** A lock of apt that somebody else holds is waited for this long, in seconds. */
const aptPatience = 600;

/** Installs what is missing (as root), or says what to install. @param machines whether boxes will be built or run */
export async function ensureSystem(machines) {
  let missing = await missingPackages(machines);
  if (missing.length === 0) return;
  if (!hasProgram('apt-get'))
    throw new SetupError(`Some programs are missing; install what holds them on this system: ${missing.join(', ')} (Debian's names).`);
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      `Some Debian packages are missing. Install them, then try again:\n  sudo apt-get update && sudo apt-get install --no-install-recommends -y ${missing.join(' ')}`,
    );
  }
  await exclusively(`${root}.cache/setup.lock`, async () => {
    missing = await missingPackages(machines);
    if (missing.length === 0) return;
    await apt('Updating the list of Debian packages', ['update']);
    await apt(`Installing ${missing.join(', ')}`, ['install', '--no-install-recommends', '-y', ...missing]);
  });
  missing = await missingPackages(machines);
  if (missing.length > 0)
    throw new SetupError(`These Debian packages were installed, but their programs are not found: ${missing.join(', ')}`);
}

async function missingPackages(machines) {
  const wanted = machines ? { ...programs, ...(process.getuid?.() === 0 ? {} : rootlessPrograms) } : {};
  const packages = Object.keys(wanted)
    .filter((program) => !hasProgram(program))
    .map((program) => wanted[program]);
  // The npm package's binary is linked with two libraries that a minimal system lacks.
  const { code, output } = await quietly(node, ['--version']);
  if (code !== 0 && !/lib(atomic|stdc)/.test(output))
    throw new SetupError(`The project's Node does not run on this system:\n${tail(output)}`);
  return code === 0 ? packages : [...packages, 'libatomic1', 'libstdc++6'];
}

async function apt(what, args) {
  const { code, output } = await step(what, async () => {
    const deadline = performance.now() + aptPatience * 1000;
    for (let told = false; ; told = true) {
      const result = await quietly('apt-get', ['-q', '-o', `DPkg::Lock::Timeout=${aptPatience}`, ...args], {
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
      });
      // apt waits for dpkg's lock by itself, but not for that of its lists.
      const locked = result.code !== 0 && /Could not get lock/.test(result.output);
      if (!locked || performance.now() > deadline) return result;
      if (!told) say('Waiting for another apt-get ...');
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  });
  if (code === 0) return;
  const network = /Could not resolve|Temporary failure|Unable to connect|Could not connect|Network is unreachable/.test(output);
  const advice = network
    ? "the Debian archive cannot be reached: check the network and apt's proxy settings, then try again."
    : `apt-get ended with ${code}.`;
  throw new SetupError(`${what} failed: ${advice}\n${tail(output)}`);
}
