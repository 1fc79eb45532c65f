import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

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

/** What the new initramfs adds, in the order in which the kernel unpacks it: folders before what is in them; its end is an entry, too. */
const added: { path: string; content?: string }[] = [
  { path: 'init', content: init },
  { path: 'bin' },
  { path: 'bin/line', content: line },
  { path: 'etc' },
  { path: 'etc/acpi' },
  { path: 'etc/acpi/PWRF' },
  { path: 'etc/acpi/PWRF/00000080', content: '#!/bin/busybox sh\n/bin/poweroff -f\n' },
  { path: 'TRAILER!!!', content: '' },
];

/**
 * The initramfs of a real image with another init: a guest that is up in a second and needs no image. It also does `sh COMMAND`.
 * (The kernel unpacks archives that follow each other, later files replace earlier ones.)
 * @returns the path of the new initramfs, in `folder`
 */
export async function makeLineGuest(initrd: string, folder: string): Promise<string> {
  const target = join(folder, 'line-guest.cpio');
  await writeFile(target, Buffer.concat([gunzipSync(await readFile(initrd)), ...added.map(entry)]));
  return target;
}

/** One entry of an archive in cpio's `newc` form (linux/Documentation/driver-api/early-userspace/buffer-format.rst). */
function entry({ path, content }: { path: string; content?: string }, inode: number): Buffer {
  const mode = content === undefined ? 0o040755 : 0o100755;
  const name = Buffer.from(`${path}\0`);
  const data = Buffer.from(content ?? '');
  const fields = [inode + 1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(data)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
