import type { Vm } from '../vmm/vmm.ts';

/** A box whose machine runs and whose envd has been given its identity: what services that reach into boxes work with. */
export interface LiveBox {
  readonly id: string;
  /** Incarnation: answers that belong to an older one are dropped. */
  readonly runId: string;
  readonly runtime: string;
  /** The runtime has an agent server. */
  readonly agent: boolean;
  readonly vm: Vm;
  /** For `X-Access-Token`. */
  readonly accessToken: string;
}

/** What a box may sleep as. */
export type Asleep = 'paused' | 'stopped';

/** How tasks, files and processes come to boxes; implemented by `boxes/`. */
export interface BoxAccess {
  /**
   * The box, awake: restored when it was paused, started again from its disk when its machine is gone. Callers at once share one start.
   * @throws box_not_found, box_failed, host_stopping
   */
  awake(boxId: string): Promise<LiveBox>;
  /** Something goes on in the box until the returned object is disposed of: it is not idle meanwhile. Enter it before `awake`. */
  use(boxId: string): Disposable;
  /**
   * Resolves at once, but for a box that was put to sleep by somebody's wish: then when it runs again, or the signal aborts. For work
   * that goes on by itself; what is asked for now wakes the box.
   */
  wanted(boxId: string, signal: AbortSignal): Promise<void>;
  /** Does not start anything. */
  ifRunning(boxId: string): LiveBox | undefined;
  /** How this incarnation was put to sleep, if it was: why a connection into the box broke. */
  wentToSleep(box: LiveBox): Asleep | undefined;
  /** Called for each new incarnation (created, restarted, adopted). Returns how to stop. */
  onStarted(listener: (box: LiveBox) => void): () => void;
  /** Called when the machine of a box is gone without being asked to. */
  onLost(listener: (box: LiveBox) => void): () => void;
  /** Called before the rows and files of a killed box are removed; a box's tasks end here. */
  onKilled(listener: (boxId: string) => Promise<void> | void): () => void;
  /** Adds a line to the box's log (`source: host`). */
  note(boxId: string, line: string): void;
}
