/** What Node has no call for. */
export interface SystemCalls {
  /** clock_settime(2); @param time struct timespec */
  clock_settime(clock: number, time: Buffer): number;
  /** ioctl(2) without an argument. */
  ioctl(file: number, request: bigint): number;
}

let found: Promise<SystemCalls | undefined> | undefined;

/** Undefined where this Node has no foreign functions (`--experimental-ffi`). */
export function systemCalls(): Promise<SystemCalls | undefined> {
  found ??= import('node:ffi').then(
    ({ dlopen }) =>
      dlopen(null, {
        clock_settime: { arguments: ['i32', 'buffer'], return: 'i32' },
        ioctl: { arguments: ['i32', 'u64'], return: 'i32' },
      }).functions,
    () => undefined,
  );
  return found;
}
