import { sizes } from '@citb/api';

/** The private disk: an MBR with the state partition first, so that only the end depends on the size that was asked for. */
export interface DiskLayout {
  /** Where the state partition begins and how large it is, in MiB. */
  readonly state: { readonly startMib: number; readonly sizeMib: number };
  /** The data partition: what `/` has that the image has not, and `/workspace`. */
  readonly data: { readonly startMib: number; readonly sizeMib: number };
  readonly totalMib: number;
}

/** Conversations and journals have a file system of their own, so that a full workspace does not lose them. */
const stateMib = 128;
/** Partitions begin on whole MiB. */
const alignMib = 1;
/** ext4's journal of the data partition, MiB. */
export const journalMib = 16;

/**
 * @param diskMib what a caller asked for: so much can really be written
 */
export function layoutOf(diskMib: number): DiskLayout {
  // 256 bytes of inode for each 16 KiB are 1.6 %; bitmaps stay below 0.1 %, group descriptors and
  // what is kept for more of them when the file system grows below 12 MiB.
  const dataMib = Math.ceil(Math.max(diskMib, sizes.diskMib.min) * 1.018) + journalMib + 12;
  const dataStart = alignMib + stateMib;
  return {
    state: { startMib: alignMib, sizeMib: stateMib },
    data: { startMib: dataStart, sizeMib: dataMib },
    totalMib: dataStart + dataMib,
  };
}
