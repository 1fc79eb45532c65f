import { join } from 'node:path';
import { socketPath } from '../socket-path.ts';

/**
 * Where one VM keeps what. `<folder>` and the files right in it belong to the host; `<folder>/vm` belongs to the box's own uid,
 * because QEMU must make its sockets there. Nothing in it is trusted: the host only connects to it, and deletes it.
 */
export interface VmFiles {
  readonly own: string;
  readonly qmp: string;
  readonly serial: string;
  readonly migration: string;
  readonly pid: string;
  /** What the guest's memory is mapped from. */
  readonly memory: string;
  /** What QEMU itself says (stdout and stderr). */
  readonly log: string;
}

/** @throws VmmError when a socket could not have that path */
export function vmFiles(folder: string): VmFiles {
  const own = join(folder, 'vm');
  return {
    own,
    qmp: socketPath(join(own, 'qmp')),
    serial: socketPath(join(own, 'serial')),
    migration: socketPath(join(own, 'migration')),
    pid: join(own, 'pid'),
    memory: join(folder, 'memory'),
    log: join(folder, 'qemu.log'),
  };
}

/** The library that is loaded into QEMU, in the data directory: it stays when images are replaced, and QEMU's users may read it. */
export function preloadedLibrary(dataDir: string): string {
  return join(dataDir, 'qemu-preload.so');
}
