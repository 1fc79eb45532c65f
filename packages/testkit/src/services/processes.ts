import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { ApiError, type ExecEvent, type ProcessEntry } from '@citb/api';
import type { NewProcess, Processes, Terminal } from '@citb/host/services.ts';
import type { BoxesDouble } from './boxes.ts';

interface Child {
  readonly boxId: string;
  readonly process: ChildProcessWithoutNullStreams;
  readonly command: string;
  readonly events: ExecEvent[];
  readonly bus: EventTarget;
  readonly ended: Promise<void>;
}

/** Processes of boxes, as children of the test. A terminal is a shell without a tty. */
export class ProcessesDouble implements Processes {
  /** The last size that a terminal was given. */
  lastSize: { cols: number; rows: number } | undefined;
  readonly #boxes: BoxesDouble;
  readonly #children = new Map<number, Child>();

  constructor(boxes: BoxesDouble) {
    this.#boxes = boxes;
    boxes.onKilled((boxId) => {
      for (const child of this.#children.values()) if (child.boxId === boxId) killGroup(child, 'SIGKILL');
    });
  }

  async list(boxId: string): Promise<ProcessEntry[]> {
    this.#boxes.need(boxId);
    const init: ProcessEntry = {
      pid: 1,
      ppid: 0,
      user: 'root',
      cpu_percent: 0.1,
      memory_bytes: 1024 * 1024,
      state: 'S',
      started: new Date().toISOString(),
      command: 'init',
    };
    const mine = [...this.#children].filter(([, child]) => child.boxId === boxId && isRunning(child));
    return [init, ...mine.map(([pid, { command }]) => ({ ...init, pid, ppid: 1, user: 'user', command }))];
  }

  async *exec(boxId: string, command: NewProcess, signal: AbortSignal): AsyncIterable<ExecEvent> {
    const child = this.#start(boxId, command);
    const kill = (): void => killGroup(child, 'SIGKILL');
    signal.addEventListener('abort', kill, { once: true });
    yield* follow(child, signal);
  }

  async spawn(boxId: string, command: NewProcess): Promise<{ pid: number }> {
    return { pid: this.#start(boxId, command).process.pid as number };
  }

  output(boxId: string, pid: number, signal: AbortSignal): AsyncIterable<ExecEvent> {
    return follow(this.#need(boxId, pid), signal);
  }

  async input(boxId: string, pid: number, data: Buffer | undefined, close: boolean): Promise<void> {
    const { stdin } = this.#need(boxId, pid).process;
    if (data !== undefined) stdin.write(data);
    if (close) stdin.end();
  }

  async signal(boxId: string, pid: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    killGroup(this.#need(boxId, pid), signal);
  }

  async terminal(boxId: string, { cols, rows, pid }: { cols: number; rows: number; pid?: number }, signal: AbortSignal): Promise<Terminal> {
    this.lastSize = { cols, rows };
    const shell: NewProcess = { command: ['/bin/sh'], env: {}, keepStdin: true };
    const child = pid === undefined ? this.#start(boxId, shell) : this.#need(boxId, pid);
    const setSize = async (size: { cols: number; rows: number }): Promise<void> => {
      this.lastSize = size;
    };
    return {
      pid: child.process.pid as number,
      output: bytesOf(child, signal),
      exitCode: child.ended.then(() => child.process.exitCode),
      write: async (data) => void child.process.stdin.write(data),
      resize: (newCols, newRows) => setSize({ cols: newCols, rows: newRows }),
    };
  }

  /** Ends what still runs. */
  async close(): Promise<void> {
    for (const child of this.#children.values()) killGroup(child, 'SIGKILL');
    await Promise.all([...this.#children.values()].map(({ ended }) => ended));
  }

  #need(boxId: string, pid: number): Child {
    this.#boxes.need(boxId);
    const child = this.#children.get(pid);
    if (child?.boxId !== boxId) throw new ApiError('process_not_found');
    return child;
  }

  #start(boxId: string, request: NewProcess): Child {
    this.#boxes.need(boxId);
    const [program, ...args] = typeof request.command === 'string' ? ['/bin/bash', '--norc', '-c', request.command] : request.command;
    const process = spawn(program as string, args, {
      cwd: this.#boxes.workspace(boxId),
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', ...request.env },
      detached: true,
    });
    const child: Child = {
      boxId,
      process,
      command: [program, ...args].join(' '),
      events: [],
      bus: new EventTarget(),
      ended: once(process, 'close').then(
        () => undefined,
        () => undefined,
      ),
    };
    if (process.pid === undefined) throw new ApiError('invalid_request', `command: ${program} cannot be started`, { field: 'command' });
    this.#children.set(process.pid, child);
    collect(child, request);
    return child;
  }
}

function collect(child: Child, request: NewProcess): void {
  const { process } = child;
  const add = (event: ExecEvent): void => {
    child.events.push(event);
    child.bus.dispatchEvent(new Event('change'));
  };
  let timedOut = false;
  const timer = setTimeout(
    () => {
      timedOut = true;
      killGroup(child, 'SIGKILL');
    },
    (request.timeoutS ?? 3600) * 1000,
  ).unref();
  add({ type: 'start', pid: process.pid as number });
  process.stdout.on('data', (data: Buffer) => add({ type: 'stdout', ...encode(data) }));
  process.stderr.on('data', (data: Buffer) => add({ type: 'stderr', ...encode(data) }));
  process.stdin.on('error', () => undefined);
  if (request.stdin !== undefined) process.stdin.write(request.stdin);
  if (!request.keepStdin) process.stdin.end();
  process.once('close', (code, signal) => {
    clearTimeout(timer);
    add({ type: 'exit', exit_code: code, signal, timed_out: timedOut, error: null });
  });
}

function encode(data: Buffer): { data: string; encoding: 'utf8' | 'base64' } {
  const text = data.toString('utf8');
  return Buffer.from(text, 'utf8').equals(data) ? { data: text, encoding: 'utf8' } : { data: data.toString('base64'), encoding: 'base64' };
}

async function* follow(child: Child, signal: AbortSignal): AsyncIterable<ExecEvent> {
  for (let next = 0; ;) {
    while (next < child.events.length) {
      const event = child.events[next++] as ExecEvent;
      yield event;
      if (event.type === 'exit') return;
    }
    await once(child.bus, 'change', { signal });
  }
}

async function* bytesOf(child: Child, signal: AbortSignal): AsyncIterable<Uint8Array> {
  for await (const event of follow(child, signal))
    if (event.type === 'stdout' || event.type === 'stderr') yield Buffer.from(event.data, event.encoding);
}

/** The process and its children. */
function killGroup(child: Child, signal: NodeJS.Signals): void {
  if (!isRunning(child) || child.process.pid === undefined) return;
  try {
    process.kill(-child.process.pid, signal);
  } catch {
    // It ended in between.
  }
}

function isRunning({ process }: Child): boolean {
  return process.exitCode === null && process.signalCode === null;
}
