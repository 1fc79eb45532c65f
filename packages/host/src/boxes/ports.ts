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
  /** Stops listening and cuts what is open. Nothing happens when it is not open. */
  close(boxId: string): Promise<void>;
}

/** Small requests to a guest's HTTP servers; what comes back is bounded by the implementation. */
export interface GuestHttp {
  /** @throws when there is no answer (nobody listens, the signal aborts) */
  request(vm: Vm, port: number, request: GuestRequest): Promise<{ status: number; body: string }>;
}

export interface GuestRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Sent as `X-Access-Token`. */
  readonly token?: string;
  readonly json?: unknown;
  readonly signal: AbortSignal;
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
