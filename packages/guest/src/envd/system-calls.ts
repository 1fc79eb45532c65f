/** What Node has no call for. */
export interface SystemCalls {
  /** clock_settime(2); @param time struct timespec */
  clock_settime(clock: number, time: Buffer): number;
  /** ioctl(2). */
  ioctl(file: number, request: bigint, argument: Buffer): number;
}

/** For the descriptors of other processes; each returns -1 when it fails. */
export interface DescriptorCalls {
  /** pidfd_open(2). */
  pidfd_open(pid: number, flags: number): number;
  /** pidfd_getfd(2). */
  pidfd_getfd(process: number, descriptor: number, flags: number): number;
  /** connect(2); @param address struct sockaddr */
  connect(socket: number, address: Buffer, size: number): number;
}

let found: Promise<SystemCalls | undefined> | undefined;
let descriptors: Promise<DescriptorCalls | undefined> | undefined;

/** Undefined where this Node has no foreign functions (`--experimental-ffi`). */
export function systemCalls(): Promise<SystemCalls | undefined> {
  found ??= import('node:ffi').then(
    ({ dlopen }) =>
      dlopen(null, {
        clock_settime: { arguments: ['i32', 'buffer'], return: 'i32' },
        ioctl: { arguments: ['i32', 'u64', 'buffer'], return: 'i32' },
      }).functions,
    () => undefined,
  );
  return found;
}

/** Undefined without foreign functions, and with a C library that is older than glibc 2.36. */
export function descriptorCalls(): Promise<DescriptorCalls | undefined> {
  descriptors ??= import('node:ffi')
    .then(
      ({ dlopen }): DescriptorCalls =>
        dlopen(null, {
          pidfd_open: { arguments: ['i32', 'u32'], return: 'i32' },
          pidfd_getfd: { arguments: ['i32', 'i32', 'u32'], return: 'i32' },
          connect: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
        }).functions,
    )
    .catch(() => undefined);
  return descriptors;
}
