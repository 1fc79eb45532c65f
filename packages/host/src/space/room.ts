import type { Logger } from '@citb/daemon';
import type { Admission } from '../boxes/admission.ts';

/** What may go when the host's disk is short: things that the host made by itself, never what a user put there or asked for. */
export interface Expendable {
  /** Removes the oldest until `enough` says so. Returns how many went. */
  expireAutomatic(enough: () => boolean): Promise<number>;
}

/** Room that is made beyond the reserve, MiB, so that it is not done again for every little file. */
const spareMib = 256;

/**
 * Below the reserve nothing new is begun. Before that is said to a caller, the oldest automatic checkpoints of all boxes go, until
 * there is room again. Call it before something new, and with every maintenance.
 */
export async function makeRoom(admission: Admission, expendable: Expendable, log: Logger): Promise<void> {
  const { diskReserveMib } = admission.limits;
  if (admission.diskFreeMib >= diskReserveMib) return;
  const removed = await expendable.expireAutomatic(() => admission.diskFreeMib >= diskReserveMib + spareMib);
  log.warn(
    { freeMib: admission.diskFreeMib, reserveMib: diskReserveMib, removed },
    'the disk is short: automatic checkpoints were removed',
  );
}
