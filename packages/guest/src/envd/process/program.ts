import type { User } from '../users.ts';
import type { Channel } from './output.ts';

/** What to start. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Undefined: envd's own user. */
  readonly user: User | undefined;
}

/** How a program ended: its exit code, or the name of the signal that ended it. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What is told of a program that runs. `ended` comes last and once. */
export interface ProgramEvents {
  output(channel: Channel, bytes: Buffer): void;
  ended(end: End): void;
}

/** A started program, on pipes or on a terminal. */
export interface Program {
  readonly pid: number;
  /** Stops and goes on reading what it prints. */
  hold(held: boolean): void;
  /** Resolves when the program's pipe or terminal has taken it. Rejects when it takes no more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends its input. */
  closeInput(): void;
  /** Undefined: it has no terminal. */
  readonly resize: ((cols: number, rows: number) => void) | undefined;
  /** False when it was started without an input. */
  readonly takesInput: boolean;
}
