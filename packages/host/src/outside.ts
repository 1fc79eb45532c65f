import { createImages, type Images, type ImagesOptions } from '@citb/images';
import { createDisks, type Disks } from './disks/disks.ts';
import { type Addresses, createAddresses } from './network/addresses.ts';
import { createQemu, type QemuOptions } from './vmm/qemu/qemu.ts';
import type { Vmm } from './vmm/vmm.ts';

/** What a host stands on: machines, the images they boot from, their disks and addresses. The chaos suite has a daemon that stands on doubles. */
export interface Outside {
  images(options: ImagesOptions): Images;
  vmm(options: QemuOptions): Vmm;
  disks(): Disks;
  addresses(dataDir: string): Addresses;
}

/** Of this machine. */
export const thisMachine: Outside = { images: createImages, vmm: createQemu, disks: createDisks, addresses: createAddresses };
