import { Process } from '@citb/api/gen/process_pb.js';
import type { ConnectRouter } from '@connectrpc/connect';
import { commands } from '../commands.ts';
import type { GuestState } from './state.ts';

/** What commands can do in a machine of the double. */
export interface CommandParts {
  readonly state: GuestState;
  /** The machine's memory. */
  readonly memory: Record<string, unknown>;
  /** Kills a service of the guest with -9. */
  readonly kill: (service: 'envd' | 'agent') => void;
}

/** envd's process service, for just the commands that the suite gives ({@link commands}). */
export function processService(router: ConnectRouter, parts: CommandParts): void {
  let pid = 100;
  router.service(Process, {
    start: async function* start({ process }) {
      pid += 1;
      yield { event: { event: { case: 'start', value: { pid } } } };
      const output = run(parts, process?.args.at(-1) ?? '');
      if (output !== undefined && output !== '')
        yield { event: { event: { case: 'data', value: { output: { case: 'stdout', value: Buffer.from(output) } } } } };
      const exitCode = output === undefined ? 127 : 0;
      yield { event: { event: { case: 'end', value: { exitCode, exited: true, status: `exit status ${exitCode}` } } } };
    },
    sendSignal: async () => ({}),
    closeStdin: async () => ({}),
  });
}

/** What it prints; undefined: there is no such command. */
function run({ state, memory, kill }: CommandParts, command: string): string | undefined {
  const write = commands.parseWrite(command);
  if (write !== undefined) {
    state.write(write.path, Buffer.from(write.text));
    return '';
  }
  const word = commands.parseRemember(command);
  if (word !== undefined) {
    memory['word'] = word;
    return '';
  }
  if (command === commands.recall) return typeof memory['word'] === 'string' ? memory['word'] : '';
  if (command === commands.killEnvd) kill('envd');
  else if (command === commands.killAgent) kill('agent');
  else return undefined;
  return '';
}
