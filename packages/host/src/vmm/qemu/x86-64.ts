/**
 * All that depends on the guest's architecture. The only one there is a driver for so far: a second one is a second file like this.
 * `microvm` needs `acpi=on` for the guest to find its virtio-mmio devices; without `pit` and `pic` it hangs (QEMU 7.2, Linux 6.1).
 */
export const x86_64 = {
  /** As `process.arch` calls the host that can accelerate it. */
  host: 'x64',
  binary: 'qemu-system-x86_64',
  machine: 'microvm,acpi=on',
  /** Without "fast strings" the guest copies and clears memory by 8 and 32 bytes: emulated, they go by one. docs/decisions/008-fast-strings.md */
  cpu: { kvm: 'host', tcg: 'max,erms=off,fsrm=off' },
  /** virtio-mmio names; with PCI they would end in `-pci`. */
  devices: { disk: 'virtio-blk-device', network: 'virtio-net-device', random: 'virtio-rng-device', balloon: 'virtio-balloon-device' },
  /** Enough for a kernel to reach its init and to power off, when there is no image yet to say it. */
  kernelCommandLine: 'console=ttyS0 quiet reboot=t panic=-1 random.trust_cpu=on',
} as const;

export type Accelerator = keyof typeof x86_64.cpu;
