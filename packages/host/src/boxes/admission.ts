import { statfsSync } from 'node:fs';
import { ApiError } from '@citb/api';

/** What a VMM takes beside a guest's memory, MiB; more with more memory where it translates code. */
export type Overhead = (memoryMib: number) => number;

/** QEMU's own pages (measured 68 MiB, and 24 of program files), rounded up. */
const ownMib = 128;
export const smallOverhead: Overhead = () => ownMib;

export interface AdmissionLimits {
  /** Memory that all boxes together may take, MiB: already less what the host keeps and times the oversubscription. */
  readonly memoryMib: number;
  readonly maxBoxes: number;
  /** Free disk below which nothing new is begun, MiB. */
  readonly diskReserveMib: number;
}

/** What the host keeps for itself by default: a tenth of the machine, at least half a GiB. MiB. */
export function defaultReserve(totalMib: number): number {
  return Math.max(512, Math.ceil(totalMib / 10));
}

/** Memory for boxes by default: all of the machine's less the host's share, MiB. */
export function memoryLimit(totalMib: number, reserveMib: number, oversubscription: number): number {
  return Math.max(0, Math.floor((totalMib - reserveMib) * oversubscription));
}

/** Boxes by default. Most of them sleep, and memory bounds those that do not; so many were measured to lie on a small host (`bench -- density`). */
export const defaultMaxBoxes = 1000;

/** There is no memory for another machine. */
export class NoMemory extends ApiError {
  /** So much more would have been enough, MiB. */
  readonly missingMib: number;

  constructor(wantedMib: number, committedMib: number, limitMib: number) {
    super(
      'host_full',
      `This host has no memory for another machine: ${wantedMib} MiB are needed, ${Math.max(0, limitMib - committedMib)} of ${limitMib} MiB are free.`,
    );
    this.missingMib = committedMib + wantedMib - limitMib;
  }
}

/** Says no before the machine is too full to keep its promises to the boxes it has. */
export class Admission {
  readonly limits: AdmissionLimits;
  readonly #dataDir: string;
  readonly #overhead: Overhead;
  readonly #memory = new Map<string, number>();

  constructor(limits: AdmissionLimits, dataDir: string, overhead: Overhead = smallOverhead) {
    this.limits = limits;
    this.#overhead = overhead;
    this.#dataDir = dataDir;
  }

  /** Memory promised to boxes that run or are being started, MiB. */
  get committedMib(): number {
    return this.#memory.values().reduce((sum, mib) => sum + mib, 0);
  }

  /** Free disk under the data directory, MiB. */
  get diskFreeMib(): number {
    const { bavail, bsize } = statfsSync(this.#dataDir);
    return Math.floor((bavail * bsize) / (1024 * 1024));
  }

  /** May another box be created? @throws host_full, host_disk_full */
  checkNew(boxes: number): void {
    if (boxes >= this.limits.maxBoxes)
      throw new ApiError('host_full', `This host has ${boxes} boxes, and at most ${this.limits.maxBoxes} are allowed.`);
    this.#checkDisk();
  }

  /** Memory held for a box, MiB; 0 for one that has no machine. */
  heldMib(boxId: string): number {
    return this.#memory.get(boxId) ?? 0;
  }

  /** Holds memory for a box's machine until {@link release}. Idempotent. @throws host_full, host_disk_full */
  reserve(boxId: string, memoryMib: number): void {
    if (this.#memory.has(boxId)) return;
    const wanted = memoryMib + this.#overhead(memoryMib);
    const committed = this.committedMib;
    if (committed + wanted > this.limits.memoryMib) throw new NoMemory(wanted, committed, this.limits.memoryMib);
    this.#checkDisk();
    this.#memory.set(boxId, wanted);
  }

  /** Counts a machine that already runs, whether there is room or not. */
  count(boxId: string, memoryMib: number): void {
    this.#memory.set(boxId, memoryMib + this.#overhead(memoryMib));
  }

  release(boxId: string): void {
    this.#memory.delete(boxId);
  }

  #checkDisk(): void {
    const free = this.diskFreeMib;
    if (free < this.limits.diskReserveMib)
      throw new ApiError('host_disk_full', `This host has ${free} MiB of disk left; ${this.limits.diskReserveMib} MiB are kept free.`);
  }
}
