import { guestNetwork } from '@citb/api';
import { dirname } from 'node:path';
import { socketPath } from '../socket-path.ts';
import type { VmSpec } from '../vmm.ts';
import { vmFiles } from './files.ts';
import { tscParameter } from './clock-rate.ts';
import { translationCacheMib } from './translation-cache.ts';
import { type Accelerator, x86_64 } from './x86-64.ts';

/** Largest packet of the guest's network, in bytes; user networking is told the same by large-packets.c. docs/decisions/007-large-packets.md */
export const packetBytes = 65_520;

/** Starts the value of `-name` of every VM of this product. */
const namePrefix = 'citb:';
const runIdPattern = /^run_[A-Za-z0-9_-]{1,64}$/;

export function isRunId(text: string): boolean {
  return runIdPattern.test(text);
}

/**
 * QEMU's arguments. CPUs do not run yet (`-S`), so that nothing of the console is missed.
 * @param incoming waits for a snapshot instead of booting
 */
export function qemuArguments(spec: VmSpec, accelerator: Accelerator, incoming: boolean): string[] {
  const files = vmFiles(spec.folder);
  const { machine, boot } = spec;
  const cmdline = boot.cmdline + (accelerator === 'tcg' ? tscParameter() : '');
  return [
    ['-name', namePrefix + spec.runId, '-pidfile', files.pid],
    [
      '-M',
      `${x86_64.machine},memory-backend=ram`,
      '-accel',
      acceleratorOption(accelerator, machine.memoryMib),
      '-cpu',
      x86_64.cpu[accelerator],
    ],
    ['-smp', String(machine.cpus), '-m', `${machine.memoryMib}M`],
    // `share=on` only for QEMU, so that it leaves the memory out of what it saves: private-memory.c.
    ['-object', `memory-backend-file,id=ram,size=${machine.memoryMib}M,mem-path=${escapeCommas(files.memory)},share=on`],
    ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-S'],
    // `spawn` has to stay allowed: user networking starts one socat for each connection to the broker. `elevateprivileges` too: it
    // calls setsid before, which that forbids, silently. The filter brings no_new_privs, so there is nothing to elevate to.
    ['-sandbox', 'on,obsolete=deny,resourcecontrol=deny'],
    ['-kernel', boot.kernel, '-initrd', boot.initrd, '-append', cmdline],
    ...spec.drives.map(driveArguments),
    ['-netdev', networkOption(spec), '-device', `${x86_64.devices.network},netdev=net,host_mtu=${packetBytes}`],
    // At most 1 KiB a second of the host's randomness: enough to seed, too little to be a load.
    ['-object', 'rng-random,id=rng,filename=/dev/urandom', '-device', `${x86_64.devices.random},rng=rng,max-bytes=1024,period=1000`],
    // The guest says which of its memory it has no use for, in blocks of 2 MiB; the host takes it back.
    ['-device', `${x86_64.devices.balloon},free-page-reporting=on`],
    ['-serial', `unix:${files.serial},server=on,wait=off`, '-qmp', `unix:${files.qmp},server=on,wait=off`],
    incoming ? ['-incoming', 'defer'] : [],
  ].flat();
}

/** The run and the folder of a process, if its arguments are those of {@link qemuArguments}. */
export function readArguments(args: readonly string[]): { runId: string; folder: string } | undefined {
  if (args[0]?.endsWith(x86_64.binary) !== true) return undefined;
  const name = args[args.indexOf('-name') + 1];
  const pidFile = args[args.indexOf('-pidfile') + 1];
  if (name?.startsWith(namePrefix) !== true || pidFile?.startsWith('/') !== true) return undefined;
  const runId = name.slice(namePrefix.length);
  return isRunId(runId) ? { runId, folder: dirname(dirname(pidFile)) } : undefined;
}

function acceleratorOption(accelerator: Accelerator, memoryMib: number): string {
  return accelerator === 'kvm' ? 'kvm' : `tcg,thread=multi,tb-size=${translationCacheMib(memoryMib, accelerator)}`;
}

function driveArguments(drive: VmSpec['drives'][number], index: number): string[] {
  // A private disk gives back what the guest discards or overwrites with zeros.
  const mode = drive.readOnly ? 'readonly=on' : 'discard=unmap,detect-zeroes=unmap';
  const image = `if=none,id=drive${index},format=raw,${mode},file=${escapeCommas(drive.path)}`;
  return ['-drive', image, '-device', `${x86_64.devices.disk},drive=drive${index},serial=citb${index}`];
}

/** `restrict=on`: without it the guest reaches the host's own loopback through 10.0.2.2. */
function networkOption(spec: VmSpec): string {
  const { address, ports } = spec.network;
  const forwards = ports.map((port) => `,hostfwd=tcp:${address}:${port}-${guestNetwork.address}:${port}`);
  const broker = spec.brokerSocket === undefined ? '' : `,${brokerForward(socketPath(spec.brokerSocket))}`;
  return `user,id=net,ipv6=off,restrict=on${forwards.join('')}${broker}`;
}

/** One socat a connection, without messages of its own: the guest could make it write as many as it likes. */
function brokerForward(socket: string): string {
  return `guestfwd=tcp:${guestNetwork.broker}:${guestNetwork.brokerPort}-cmd:socat -lf/dev/null - UNIX-CONNECT:${socket}`;
}

function escapeCommas(path: string): string {
  return path.replaceAll(',', ',,');
}
