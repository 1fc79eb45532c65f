import type { GuestInit } from '@citb/api';
import type { Vm } from '../vmm/vmm.ts';

/**
 * What boxes need of their neighbours, as small as it can be: `main.ts` wires the real ones, tests give doubles.
 * Every method is idempotent: after a crash it is simply called again.
 */

/** Private disks (/dev/vdb). */
export interface PrivateDisks {
  /**
   * Makes the disk at `path` with a data partition of `diskMib` MiB; leaves one that is there alone.
   * The file appears complete or not at all, so a crash in the middle leaves no half disk behind.
   */
  create(path: string, diskMib: number, signal: AbortSignal): Promise<void>;
  /** Makes `path` a copy of another disk that nobody writes meanwhile; leaves one that is there alone. Sparse, shared blocks where the file system can. */
  copy(from: string, path: string, signal: AbortSignal): Promise<void>;
}

/** The host's addresses for boxes, out of 127.64.0.0/10. */
export interface Addresses {
  /** `preferred` when it is free, else another that is not in `taken` and that no other process of this machine listens on. */
  take(preferred: string | undefined, taken: ReadonlySet<string>): Promise<string>;
}

/** The broker's side of a box's one way out. */
export interface BrokerSockets {
  /** Listens for the box on a unix socket (a stale socket file is replaced). Resolves when connections are taken. */
  open(boxId: string, socketPath: string): Promise<void>;
  /** How many connections of the box are open. */
  connections(boxId: string): Promise<number>;
  /** Stops listening and cuts what is open; resolves with how many connections that were. Nothing happens when it is not open. */
  close(boxId: string): Promise<number>;
}

/** Bringing up what runs in the guest. Every answer of it is bounded by the implementation. */
export interface GuestStart {
  /** Resolves when envd answers. @throws when it does not within the deadline */
  waitForEnvd(vm: Vm, options: GuestWait): Promise<void>;
  /** The hand-over of `POST /init`; `token` is the one that the guest has or is to get. */
  initialise(vm: Vm, token: string, init: GuestInit, signal?: AbortSignal): Promise<void>;
  /** What was written in the guest is on its disk. @throws when it does not answer until the signal */
  flush(vm: Vm, token: string, signal: AbortSignal): Promise<void>;
  /** Resolves when the agent server takes tasks. @throws when it does not within the deadline */
  waitForAgent(vm: Vm, token: string, options: GuestWait): Promise<void>;
  /** Resolves when the agent is started and waits for its first task. @throws when it does not within the deadline */
  waitUntilParked(vm: Vm, token: string, options: GuestWait): Promise<void>;
}

export interface GuestWait {
  readonly signal?: AbortSignal | undefined;
  readonly deadlineMs: number;
}

/** Keys for model requests. */
export interface ModelKeys {
  /** The box's own key, else the host's; undefined when there is neither. */
  forBox(boxId: string): string | undefined;
  /** Uses this key for the box from now on; it is kept sealed. */
  set(boxId: string, key: string): void;
}

/** How many tasks a box has, for the status page. */
export type TaskCounts = (boxId: string) => { running: number; queued: number };
