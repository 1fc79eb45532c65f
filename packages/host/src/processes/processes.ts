import { ApiError, guestUser, processListing } from '@citb/api';
import { Signal } from '@citb/api/gen/process_pb.js';
import type { BoxAccess } from '../boxes/access.ts';
import { inBox } from '../boxes/in-box.ts';
import { tellingWhy, whyGone } from '../boxes/why-gone.ts';
import type { GuestClients } from '../guest/clients.ts';
import { processError, type ProcessClient } from '../guest/connect.ts';
import { unreachable } from '../guest/errors.ts';
import type { GuestCall } from '../guest/server.ts';
import type { Processes } from '../services.ts';
import { begin, callMs, exec, start } from './exec.ts';
import { outputOf } from './output.ts';
import { feedInput, selector, writeInput } from './stdin.ts';
import { openTerminal } from './terminal.ts';

/** Thousands of processes with command lines of 4096 characters. */
const listingBytes = 32 * 1024 * 1024;
/** Input that a background process does not take within this is given up, in ms. */
const inputMs = 60_000;

/** Commands in boxes, by envd's process service. */
export function createProcesses({ access, clients }: { access: BoxAccess; clients: GuestClients }): Processes {
  async function service(boxId: string, user: string | undefined): Promise<ProcessClient> {
    return clients.processes(await access.awake(boxId), user ?? guestUser.name);
  }

  /** One small request about a process that may have ended. */
  async function call(boxId: string, work: (client: ProcessClient, signal: AbortSignal) => Promise<unknown>): Promise<void> {
    using _busy = access.use(boxId);
    const client = await service(boxId, undefined);
    const signal = AbortSignal.timeout(inputMs);
    try {
      await work(client, signal);
    } catch (error) {
      if (signal.aborted)
        throw new ApiError('box_busy', 'The process does not take its input.', { hint: 'Send it again when the process reads.' });
      throw processError(error, 'process');
    }
  }

  return {
    async list(boxId) {
      const listing: GuestCall = { method: 'GET', path: '/processes', maxBytes: listingBytes };
      const { processes } = await inBox(access, boxId, (box) => clients.envd(box).json(listing, processListing));
      return processes;
    },

    async *exec(boxId, command, signal) {
      using _busy = access.use(boxId);
      const box = await access.awake(boxId);
      yield* tellingWhy(access, box, exec(clients.processes(box, command.user ?? guestUser.name), command, signal));
    },

    async spawn(boxId, command) {
      using _busy = access.use(boxId);
      const client = await service(boxId, command.user);
      const connection = new AbortController();
      const timeoutMs = command.timeoutS === undefined ? undefined : Math.ceil(command.timeoutS * 1000);
      const { pid } = await start(client, command, connection.signal, timeoutMs);
      connection.abort();
      if (command.stdin !== undefined) {
        void feedInput(client, pid, { data: command.stdin, close: !command.keepStdin }, AbortSignal.timeout(inputMs));
      }
      return { pid };
    },

    async *output(boxId, pid, signal) {
      using _busy = access.use(boxId);
      const box = await access.awake(boxId);
      const client = clients.processes(box);
      const connection = new AbortController();
      try {
        const any = AbortSignal.any([connection.signal, signal]);
        const { stream } = await begin(client.connect({ process: selector(pid) }, { signal: any }), 'process');
        yield { type: 'start', pid };
        const ended = yield* outputOf(stream, () => false);
        if (!ended) throw unreachable(undefined, 'The box ended the output without an exit.');
      } catch (error) {
        if (!signal.aborted) throw whyGone(access, box, processError(error, 'process'));
      } finally {
        connection.abort();
      }
    },

    input: (boxId, pid, data, close) =>
      call(boxId, async (client, signal) => {
        if (data !== undefined) await writeInput(client, pid, 'stdin', data, signal);
        if (close) await client.closeStdin({ process: selector(pid) }, { signal });
      }),

    signal: (boxId, pid, name) =>
      call(boxId, (client) => client.sendSignal({ process: selector(pid), signal: Signal[name] }, { timeoutMs: callMs })),

    async terminal(boxId, { cols, rows, pid, user }, signal) {
      const busy = access.use(boxId);
      // Without its client the program in it may still work: then it shows by what it uses.
      signal.addEventListener('abort', () => busy[Symbol.dispose](), { once: true });
      try {
        const box = await access.awake(boxId);
        const client = clients.processes(box, user ?? guestUser.name);
        const terminal = await openTerminal(client, { cols, rows, ...(pid === undefined ? {} : { pid }) }, signal);
        const told = async (work: Promise<void>): Promise<void> => {
          await work.catch((error: unknown) => Promise.reject(whyGone(access, box, error) as Error));
        };
        return {
          ...terminal,
          output: tellingWhy(access, box, terminal.output),
          write: (data) => told(terminal.write(data)),
          resize: (newCols, newRows) => told(terminal.resize(newCols, newRows)),
        };
      } catch (error) {
        busy[Symbol.dispose]();
        throw error;
      }
    },
  };
}
