import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';

const run = promisify(execFile);

/** Drives are there, the network is up, and each port answers lines as the contract of the Vmm seam wants it. */
const init = `#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done < /modules/order
mkdir -p /tmp
ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2
acpid -d -c /etc/acpi > /dev/null 2>&1 &
nc -ll -p 49983 -e /bin/line &
nc -ll -p 49984 -e /bin/line &
echo 'line guest up'
while :; do sleep 1000; done
`;

const line = `#!/bin/busybox sh
export PATH=/bin
read -r verb rest
case $verb in
  ping) echo pong ;;
  set) echo "$rest" > /tmp/word; echo ok ;;
  get) cat /tmp/word ;;
  say) echo "$rest" > /dev/console; echo ok ;;
  flood) (yes 'flood flood flood flood flood' > /dev/console 2>&1 < /dev/null &); echo ok ;;
  deaf) killall acpid; echo ok ;;
  off) poweroff -f ;;
  sh) eval "$rest" 2>&1 ;;
esac
`;

/**
 * The initramfs of a real image with another init: a guest that is up in a second and needs no image. It also does `sh COMMAND`.
 * (The kernel unpacks archives that follow each other, later files replace earlier ones.)
 * @returns the path of the new initramfs, in `folder`
 */
export async function makeLineGuest(initrd: string, folder: string): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'citb-line-'));
  try {
    await mkdir(join(tree, 'bin'));
    await mkdir(join(tree, 'etc/acpi/PWRF'), { recursive: true });
    const files = { init, 'bin/line': line, 'etc/acpi/PWRF/00000080': '#!/bin/busybox sh\n/bin/poweroff -f\n' };
    for (const [path, content] of Object.entries(files)) {
      await writeFile(join(tree, path), content);
      await chmod(join(tree, path), 0o755);
    }
    const archive = join(tree, '..', `${tree.split('/').at(-1)}.cpio`);
    await run('sh', ['-c', 'find . | cpio --quiet -o -H newc > "$0"', archive], { cwd: tree });
    const target = join(folder, 'line-guest.cpio');
    await writeFile(target, Buffer.concat([gunzipSync(await readFile(initrd)), await readFile(archive)]));
    await rm(archive);
    return target;
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}
