import type { ProcessEvent } from '@citb/api/gen/process_pb.js';
import type { ExecEvent } from '@citb/api';
import { OutputDecoder } from './decoder.ts';
import { exitOf } from './exit.ts';

/** What envd's Start and Connect stream. */
export type ProcessMessage = { readonly event?: ProcessEvent | undefined };
export type ProcessStream = AsyncIterator<ProcessMessage>;

/** The next event that is one. Undefined: the stream has ended. */
export async function nextEvent(stream: ProcessStream): Promise<ProcessEvent['event'] | undefined> {
  for (;;) {
    const { value, done } = await stream.next();
    if (done === true) return undefined;
    if (value.event?.event.case !== undefined) return value.event.event;
  }
}

/**
 * What a process puts out, then its exit. The stream must be past the start event.
 * @param timedOut asked when the process ends
 * @returns false when the stream ended without an exit
 */
export async function* outputOf(stream: ProcessStream, timedOut: () => boolean): AsyncGenerator<ExecEvent, boolean> {
  const decoders = { stdout: new OutputDecoder(), stderr: new OutputDecoder() };
  for (;;) {
    const event = await nextEvent(stream);
    if (event === undefined) return false;
    if (event.case === 'keepalive') yield { type: 'heartbeat' };
    if (event.case === 'data' && event.value.output.case !== undefined) {
      const { output } = event.value;
      // A terminal has one output only.
      const type = output.case === 'stderr' ? 'stderr' : 'stdout';
      const piece = decoders[type].push(output.value);
      if (piece !== undefined) yield { type, ...piece };
    }
    if (event.case === 'end') {
      for (const type of ['stdout', 'stderr'] as const) {
        const piece = decoders[type].end();
        if (piece !== undefined) yield { type, ...piece };
      }
      yield exitOf(event.value, timedOut());
      return true;
    }
  }
}
