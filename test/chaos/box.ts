import type { TaskEvent } from '@citb/api';
import { Belief, type World } from './world.ts';

/** A task that was given, as its caller saw it. */
export interface FollowedTask {
  readonly id: string;
  readonly mark: string;
  readonly seen: TaskEvent[];
  /** The state it belongs to was given up meanwhile: its end says nothing of the box. */
  detached: boolean;
  /** Resolves when the stream has ended with completion, or the box is gone. */
  over: Promise<void>;
}

export interface KnownCheckpoint {
  readonly id: string;
  readonly worlds: readonly World[];
}

/** Every state in which a box may be found when nobody said anything of it. */
export const anyState: readonly string[] = ['running', 'paused', 'stopped'];

/** A box that was acknowledged, and all that was acknowledged of it. */
export class KnownBox {
  readonly id: string;
  readonly userId: string;
  readonly agent: boolean;
  belief: Belief;
  states: ReadonlySet<string>;
  readonly checkpoints: KnownCheckpoint[] = [];
  /** Checkpoints that may be there besides: nobody answered when they were made or deleted. */
  uncertainCheckpoints = 0;
  readonly tasks: FollowedTask[] = [];
  /** A loss of memory that was told by an event after this one counts. */
  memorySince = 0;
  /** Its machine was killed, or may have been. */
  machineKilled = false;
  /** A kill was asked for. */
  gone = false;

  constructor(id: string, userId: string, agent: boolean, worlds: readonly World[], states: readonly string[]) {
    this.id = id;
    this.userId = userId;
    this.agent = agent;
    this.belief = new Belief(worlds);
    this.states = new Set(states);
  }
}
