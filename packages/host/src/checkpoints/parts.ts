import type { BoxAccess, LiveBox } from '../boxes/access.ts';
import type { BoxParts } from '../boxes/parts.ts';
import type { CheckpointRows } from './rows.ts';

/** What checkpoints, rollbacks, forks and exports work with. */
export interface CheckpointParts {
  readonly boxes: BoxParts;
  readonly access: BoxAccess;
  readonly rows: CheckpointRows;
  readonly guest: StandingGuest;
  readonly tasks: TasksOfBox;
  readonly settings: CheckpointSettings;
}

/** The guest's side of a moment in which its CPUs stand. */
export interface StandingGuest {
  /** Puts what the guest has written on its disk. @throws when it does not answer */
  flush(box: LiveBox, signal: AbortSignal): Promise<void>;
  /** Sets the guest's clock. @throws when it does not answer */
  setClock(box: LiveBox, timestamp: string): Promise<void>;
}

/** What a rollback asks of the tasks. */
export interface TasksOfBox {
  /** Ends all tasks of the box that have not ended as interrupted; nothing is asked of the guest. */
  rolledBack(boxId: string): void;
}

export interface CheckpointSettings {
  /** Automatic checkpoints kept of a box; 0: none are made. */
  readonly automatic: number;
  /** A disk that takes more on the host is not copied before each task, bytes. */
  readonly automaticBytes: number;
}

/** Checkpoints of the agent that are kept of a box; the oldest go. */
export const agentKept = 10;
/** Checkpoints that callers may make of a box. */
export const manualKept = 50;
