import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { expendable } from './expendable.ts';
import type { Pipe, Pipes } from './pipes.ts';
import type { Command, Program, ProgramEvents } from './program.ts';

/**
 * A program can leave others behind that keep its output open. Its end is told this long after its exit, in ms,
 * when the output is still open; what comes later is thrown away.
 */
const drainMs = 1000;

/** A started program and our ends of its pipes. */
interface Spawned {
  readonly child: ChildProcess;
  readonly stdin: Writable | null;
  readonly stdout: Socket;
  readonly stderr: Socket;
}

/**
 * Starts a program on pipes, in a session of its own.
 * @param input whether it has a pipe as its input; else /dev/null
 * @throws the system error (`ENOENT`, `EACCES`) when it cannot be started
 */
export async function startChild(command: Command, input: boolean, pipes: Pipes, events: ProgramEvents): Promise<Program> {
  const spawned = await spawnOn(pipes, command, input);
  const { child, stdin } = spawned;
  let held = false;
  for (const channel of ['stdout', 'stderr'] as const) {
    spawned[channel].on('data', (bytes: Buffer) => events.output(channel, bytes));
    spawned[channel].on('error', () => undefined);
  }
  // A program that does not read its input any more is no failure of ours.
  stdin?.on('error', () => undefined);
  child.on('error', () => undefined);
  void tellEnd(spawned, () => held, events);
  return {
    pid: child.pid ?? 0,
    takesInput: input,
    resize: undefined,
    hold(now) {
      held = now;
      for (const output of [spawned.stdout, spawned.stderr]) {
        if (now) output.pause();
        else output.resume();
      }
    },
    write: (bytes) => writeTo(stdin, bytes),
    closeInput: () => stdin?.end(),
  };
}

async function spawnOn(pipes: Pipes, command: Command, input: boolean): Promise<Spawned> {
  const { user } = command;
  // The child's ends are closed here in any case, ours only when it did not start: the sockets own them then.
  using theirs = new DisposableStack();
  using ours = new DisposableStack();
  const pipe = async (): Promise<Pipe> => {
    const both = await pipes.open(user);
    theirs.defer(() => closeSync(both.write));
    ours.defer(() => closeSync(both.read));
    return both;
  };
  const stdout = await pipe();
  const stderr = await pipe();
  const options: SpawnOptions = {
    cwd: command.cwd,
    env: command.env,
    detached: true,
    stdio: [input ? 'pipe' : 'ignore', stdout.write, stderr.write],
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  };
  const child = expendable(() => spawn(command.program, command.args, options));
  await once(child, 'spawn');
  ours.move();
  return {
    child,
    stdin: child.stdin,
    stdout: new Socket({ fd: stdout.read, readable: true, writable: false }),
    stderr: new Socket({ fd: stderr.read, readable: true, writable: false }),
  };
}

/** The end is told when all output was read, or {@link drainMs} after the exit. */
async function tellEnd({ child, stdin, stdout, stderr }: Spawned, held: () => boolean, events: ProgramEvents): Promise<void> {
  const read = Promise.all([stdout, stderr].map((output) => new Promise((resolve) => output.once('close', resolve))));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('exit', (...how) => resolve(how));
  });
  stdin?.destroy();
  let told = false;
  const tell = (): void => {
    clearInterval(timer);
    if (!told) events.ended({ code, signal });
    told = true;
  };
  // While a slow reader is served, what the pipes hold is not given up.
  const timer = setInterval(() => (held() ? undefined : tell()), drainMs);
  void read.then(tell);
}

function writeTo(stdin: Writable | null, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stdin?.writable !== true) reject(new Error('the input is closed'));
    else stdin.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
