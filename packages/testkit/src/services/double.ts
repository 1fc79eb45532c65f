import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Services } from '@citb/host/services.ts';
import { BoxesDouble } from './boxes.ts';
import { CheckpointsDouble } from './checkpoints.ts';
import { FilesDouble } from './files.ts';
import { HostDouble } from './host.ts';
import { ProcessesDouble } from './processes.ts';
import { TasksDouble } from './tasks.ts';
import { TransferDouble } from './transfer.ts';

/** `Services` without machines: boxes are temporary folders, tasks play a script, commands are children of the test. */
export interface ServicesDouble extends Services, AsyncDisposable {
  readonly boxes: BoxesDouble;
  /** `tasks.script` is what the agent does. */
  readonly tasks: TasksDouble;
  readonly files: FilesDouble;
  readonly processes: ProcessesDouble;
  readonly checkpoints: CheckpointsDouble;
  readonly transfer: TransferDouble;
  /** `host.current` is what health answers. */
  readonly host: HostDouble;
}

/** Disposing of it ends its processes and removes its files. */
export async function createServicesDouble(): Promise<ServicesDouble> {
  const root = await mkdtemp(path.join(tmpdir(), 'citb-double-'));
  const boxes = new BoxesDouble(root);
  const processes = new ProcessesDouble(boxes);
  return {
    boxes,
    tasks: new TasksDouble(boxes),
    files: new FilesDouble(boxes),
    processes,
    checkpoints: new CheckpointsDouble(boxes),
    transfer: new TransferDouble(boxes),
    host: new HostDouble(boxes),
    [Symbol.asyncDispose]: async () => {
      await processes.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}
