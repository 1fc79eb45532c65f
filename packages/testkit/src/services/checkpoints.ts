import { ApiError, type Box, type Checkpoint } from '@citb/api';
import type { Checkpoints, ForkRequest } from '@citb/host/services.ts';
import type { BoxesDouble } from './boxes.ts';

/** Checkpoints by name only: what a restore brings back is not kept. */
export class CheckpointsDouble implements Checkpoints {
  readonly #boxes: BoxesDouble;
  readonly #all = new Map<string, Checkpoint[]>();
  /** Ids of checkpoints that were restored, in order. */
  readonly restored: string[] = [];

  constructor(boxes: BoxesDouble) {
    this.#boxes = boxes;
  }

  /** Adds one as if it had been made, for example by the host before a task. */
  add(boxId: string, more: Partial<Checkpoint> = {}): Checkpoint {
    const list = this.#of(boxId);
    const id = `ckp_${String(list.length + 1).padStart(12, '0')}`;
    const made: Checkpoint = {
      id,
      box_id: boxId,
      name: null,
      kind: 'manual',
      memory: true,
      size_bytes: 4096,
      task_id: null,
      created: new Date().toISOString(),
      ...more,
    };
    list.push(made);
    return made;
  }

  async create(boxId: string, { name, memory }: { name?: string | undefined; memory: boolean }): Promise<Checkpoint> {
    await this.#boxes.get(boxId);
    return this.add(boxId, { name: name ?? null, memory });
  }

  async list(boxId: string): Promise<Checkpoint[]> {
    await this.#boxes.get(boxId);
    return [...this.#of(boxId)];
  }

  async restore(boxId: string, checkpointId: string): Promise<Box> {
    this.#find(boxId, checkpointId);
    this.restored.push(checkpointId);
    return await this.#boxes.get(boxId);
  }

  async remove(boxId: string, checkpointId: string): Promise<void> {
    const list = this.#of(boxId);
    list.splice(list.indexOf(this.#find(boxId, checkpointId)), 1);
  }

  async fork(boxId: string, request: ForkRequest): Promise<Box> {
    const { runtime, labels } = await this.#boxes.get(boxId);
    const { box } = await this.#boxes.create({ id: request.id, userId: request.userId, runtime, labels, envVars: request.envVars ?? {} });
    return box;
  }

  #of(boxId: string): Checkpoint[] {
    const list = this.#all.get(boxId) ?? [];
    this.#all.set(boxId, list);
    return list;
  }

  #find(boxId: string, id: string): Checkpoint {
    const found = this.#of(boxId).find((each) => each.id === id);
    if (found === undefined) throw new ApiError('checkpoint_not_found');
    return found;
  }
}
