import { join } from 'node:path';
import { z } from 'zod';
import { socketPath } from '../socket-path.ts';

export interface DoubleFiles {
  readonly own: string;
  readonly serial: string;
  /** What the machine is to be ({@link machineFile}). */
  readonly machine: string;
  /** Its memory, while it is paused. */
  readonly memory: string;
  readonly log: string;
}

export function doubleFiles(folder: string): DoubleFiles {
  const own = join(folder, 'vm');
  return {
    own,
    serial: socketPath(join(own, 'serial')),
    machine: join(own, 'machine.json'),
    memory: join(own, 'memory.json'),
    log: join(folder, 'double.log'),
  };
}

export const machineFile = z.object({
  spec: z.object({
    network: z.object({ address: z.string(), ports: z.array(z.number()) }),
    brokerSocket: z.string().optional(),
  }),
  program: z.string(),
  memory: z.record(z.string(), z.unknown()),
});
