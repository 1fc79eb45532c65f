import { stat } from 'node:fs/promises';
import { ApiError } from '@citb/api';
import {
  type Process,
  type ProcessInput,
  type ProcessSelector,
  Signal,
  type StartRequest,
  type StreamInputRequest,
} from '@citb/api/gen/process_pb.js';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { errno } from '../../tree/index.ts';
import { actingUser, basicUser } from '../caller.ts';
import type { Envd } from '../context.ts';
import { keepAliveMs } from '../keepalive.ts';
import { environmentOf, workFolder } from './environment.ts';
import { follow } from './follow.ts';
import type { RunningProcess } from './processes.ts';
import { signalSession } from './signal.ts';

/**
 * E2B's process service. A process runs on when its caller leaves, and `Connect` begins with the last MiB of its output,
 * also within ten minutes after its end. A caller that sets a deadline (`Connect-Timeout-Ms`) has it killed then, as E2B does.
 */
export function processService(envd: Envd): ServiceImpl<typeof Process> {
  const find = (selector: ProcessSelector | undefined): RunningProcess => findProcess(envd, selector);
  return {
    async *start(request, context) {
      const process = await start(envd, request, context);
      killAtDeadline(process, context);
      yield* follow(process, keepAliveMs(context.requestHeader), context.signal);
    },

    async *connect({ process }, context) {
      yield* follow(find(process), keepAliveMs(context.requestHeader), context.signal);
    },

    list: () => ({
      processes: envd.processes.running.map(({ pid, config, tag }) => ({ pid, config, ...(tag === undefined ? {} : { tag }) })),
    }),

    update({ process, pty }) {
      const { program } = find(process);
      if (program.resize === undefined) throw new ConnectError('the process has no terminal', Code.FailedPrecondition);
      if (pty?.size !== undefined) program.resize(...columnsAndRows(pty.size));
      return {};
    },

    async streamInput(requests) {
      await streamInput(requests, find);
      return {};
    },

    async sendInput({ process, input }) {
      await writeInput(find(process), input);
      return {};
    },

    async sendSignal({ process, signal }) {
      const { pid, end } = find(process);
      if (end !== undefined) throw new ConnectError('the process has ended', Code.NotFound);
      if (signal === Signal.UNSPECIFIED) throw new ConnectError('the signal must be SIGTERM or SIGKILL', Code.InvalidArgument);
      await signalSession(pid, signal === Signal.SIGKILL ? 'SIGKILL' : 'SIGTERM');
      return {};
    },

    closeStdin({ process }) {
      const { program, terminal } = find(process);
      if (terminal) throw new ConnectError('a terminal has no stdin to close: send Ctrl+D (0x04) instead', Code.FailedPrecondition);
      program.closeInput();
      return {};
    },
  };
}

async function start(envd: Envd, request: StartRequest, context: HandlerContext): Promise<RunningProcess> {
  const { process: config, pty, tag, stdin } = request;
  if (config === undefined || config.cmd === '') throw new ConnectError('there is no command', Code.InvalidArgument);
  const user = await actingUser(envd, basicUser(context.requestHeader.get('Authorization')));
  const cwd = workFolder(envd, user, config.cwd);
  const folder = await stat(cwd).catch(() => undefined);
  if (folder?.isDirectory() !== true) throw new ConnectError(`cwd '${cwd}' does not exist`, Code.InvalidArgument);
  const command = {
    program: config.cmd,
    args: config.args,
    cwd,
    env: environmentOf(envd, user, config.envs),
    user: envd.root ? user : undefined,
  };
  const [cols, rows] = columnsAndRows(pty?.size);
  const io = pty === undefined ? { kind: 'pipes' as const, input: stdin ?? true } : { kind: 'terminal' as const, size: { cols, rows } };
  try {
    return await envd.processes.start({ command, config, tag, io });
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const reason = error instanceof Error ? (errno(error) ?? error.message) : 'unknown';
    throw new ConnectError(
      `error starting process '${config.cmd.slice(0, 300)}': ${reason}`,
      Code.InvalidArgument,
      undefined,
      undefined,
      error,
    );
  }
}

/** The process goes on when its caller leaves, but not past a deadline that the caller set. */
function killAtDeadline(process: RunningProcess, context: HandlerContext): void {
  const left = context.timeoutMs();
  if (left === undefined) return;
  setTimeout(() => {
    if (process.end === undefined) void signalSession(process.pid, 'SIGKILL');
  }, left).unref();
}

function findProcess(envd: Envd, selector: ProcessSelector | undefined): RunningProcess {
  const chosen = selector?.selector;
  if (chosen?.case === undefined) throw new ConnectError('there is no process selector', Code.InvalidArgument);
  const process = envd.processes.find(chosen.case === 'pid' ? { pid: chosen.value } : { tag: chosen.value });
  if (process === undefined)
    throw new ConnectError(`process with ${chosen.case} '${String(chosen.value).slice(0, 100)}' not found`, Code.NotFound);
  return process;
}

async function streamInput(
  requests: AsyncIterable<StreamInputRequest>,
  find: (selector: ProcessSelector | undefined) => RunningProcess,
): Promise<void> {
  let process: RunningProcess | undefined;
  for await (const { event } of requests) {
    if (event.case === 'start') process = find(event.value.process);
    if (event.case !== 'data') continue;
    if (process === undefined) throw new ConnectError('the first message must be a start', Code.InvalidArgument);
    await writeInput(process, event.value.input);
  }
}

async function writeInput(process: RunningProcess, input: ProcessInput | undefined): Promise<void> {
  const data = input?.input;
  if (data?.case === undefined) throw new ConnectError('there is no input', Code.InvalidArgument);
  if (process.end !== undefined) throw new ConnectError('the process has ended', Code.NotFound);
  if ((data.case === 'pty') !== process.terminal) {
    const advice = process.terminal ? 'the process has a terminal: send pty' : 'the process has no terminal: send stdin';
    throw new ConnectError(advice, Code.InvalidArgument);
  }
  if (!process.program.takesInput) throw new ConnectError('stdin not enabled or closed', Code.FailedPrecondition);
  try {
    await process.write(data.value);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ConnectError('stdin not enabled or closed', Code.FailedPrecondition, undefined, undefined, error);
  }
}

/** A terminal of no size cannot be: what is missing is 80 times 24. */
function columnsAndRows(size: { readonly cols: number; readonly rows: number } | undefined): [number, number] {
  return [sideOf(size?.cols, 80), sideOf(size?.rows, 24)];
}

function sideOf(value: number | undefined, otherwise: number): number {
  return value === undefined || value === 0 ? otherwise : Math.min(value, 1000);
}
