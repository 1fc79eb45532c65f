import { ApiError } from '@citb/api';
import { expireOldest } from './automatic.ts';
import { makeCheckpoint } from './make.ts';
import { agentKept, type CheckpointParts } from './parts.ts';
import type { CheckpointRow } from './rows.ts';

/** Between two checkpoints that an agent asks for, ms: each stops the box and copies its disk. */
const pauseMs = 5000;

/** Checkpoints that agents ask for by their tool: of the disk, bounded in rate and number. What is asked for comes out of a guest. */
export class AgentCheckpoints {
  readonly #parts: CheckpointParts;
  readonly #busy = new Set<string>();

  constructor(parts: CheckpointParts) {
    this.#parts = parts;
  }

  /** @param name already harmless @throws box_busy when it comes too often, and what making one does */
  async make(boxId: string, name: string): Promise<CheckpointRow> {
    const { rows, boxes } = this.#parts;
    const last = rows.of(boxId).findLast((row) => row.kind === 'agent');
    if (this.#busy.has(boxId)) throw new ApiError('box_busy', 'A checkpoint is being made.');
    if (last !== undefined && boxes.now() - last.created < pauseMs)
      throw new ApiError('box_busy', `A checkpoint was made just now; the next can be made ${pauseMs / 1000} s after it.`);
    this.#busy.add(boxId);
    try {
      const made = await makeCheckpoint(this.#parts, {
        boxId,
        name: name === '' ? null : name,
        kind: 'agent',
        taskId: null,
        memory: false,
      });
      await expireOldest(this.#parts, boxId, 'agent', agentKept);
      return made;
    } finally {
      this.#busy.delete(boxId);
    }
  }
}
