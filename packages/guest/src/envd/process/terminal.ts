import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import type { IPty } from '@lydell/node-pty';
import { expendable } from './expendable.ts';
import type { Command, End, Program, ProgramEvents } from './program.ts';

/** Signals by number: node-pty tells the number. */
const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]));

export interface Size {
  readonly cols: number;
  readonly rows: number;
}

/**
 * Starts a program on a pseudoterminal of its own. node-pty is loaded by the first one only: it is rarely needed, and
 * where its native part is missing the rest of envd works.
 */
export async function startTerminal(command: Command, size: Size, events: ProgramEvents): Promise<Program> {
  const { spawn } = await import('@lydell/node-pty');
  const { user } = command;
  const options = {
    name: 'xterm-256color',
    cwd: command.cwd,
    env: command.env,
    ...size,
    encoding: null,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  };
  const pty = expendable(() => spawn(command.program, [...command.args], options));
  pty.onData((data: string | Buffer) => events.output('pty', Buffer.from(data)));
  pty.onExit(({ exitCode, signal }) => events.ended(endOf(exitCode, signal)));
  return {
    pid: pty.pid,
    takesInput: true,
    hold(held) {
      if (held) pty.pause();
      else pty.resume();
    },
    write: (bytes) => writeTo(pty, bytes),
    // What a terminal's user does to end the input.
    closeInput: () => pty.write('\u0004'),
    resize: (cols, rows) => pty.resize(cols, rows),
  };
}

/** node-pty's own write() does not tell when the terminal has taken it; the stream below it does. */
function writeTo(pty: IPty & { readonly _socket?: Writable }, bytes: Uint8Array): Promise<void> {
  const { _socket: socket } = pty;
  return new Promise((resolve, reject) => {
    if (socket?.writable !== true) reject(new Error('the terminal is closed'));
    else socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function endOf(exitCode: number, signal: number | undefined): End {
  if (signal === undefined || signal === 0) return { code: exitCode, signal: null };
  return { code: null, signal: signalNames.get(signal) ?? 'SIGKILL' };
}
