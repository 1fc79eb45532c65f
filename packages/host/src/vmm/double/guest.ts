import type { Socket } from 'node:net';

/** What a machine of the double is made of; its program is the default export-less module that exports `serve`. */
export interface DoubleGuest {
  readonly folder: string;
  readonly ports: readonly number[];
  readonly brokerSocket: string | undefined;
  /** The machine's memory: JSON values. It is what a snapshot takes and a restored machine begins with. */
  readonly memory: Record<string, unknown>;
  /** From now on connections to the port come here; before that they are reset. */
  listen(port: number, accept: (socket: Socket) => void): void;
  /** Prints on the console. */
  print(text: string): void;
  /** What the power button does; at first: {@link powerOff}. */
  onPowerButton(react: () => void): void;
  powerOff(): void;
}

/** A machine's program: resolves when it is up. */
export type Serve = (guest: DoubleGuest) => void | Promise<void>;
