import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ProcessEventSchema } from '@citb/api/gen/process_pb.js';
import { endEvent } from './end-event.ts';
import type { Piece } from './output.ts';
import type { RunningProcess } from './processes.ts';

type Event = MessageInitShape<typeof ProcessEventSchema>;

/**
 * The events of a process for one listener: its pid, what is kept of its output, what comes, its end.
 * @param quietMs a keep-alive is sent after this long without output
 * @param signal the listener has gone
 */
export async function* follow(process: RunningProcess, quietMs: number, signal: AbortSignal): AsyncGenerator<{ event: Event }> {
  using output = process.output.read();
  yield { event: { event: { case: 'start', value: { pid: process.pid } } } };
  while (!signal.aborted) {
    const piece = output.take();
    if (piece !== undefined) {
      yield { event: dataEvent(piece) };
    } else if (output.done) {
      if (process.end !== undefined) yield { event: { event: { case: 'end', value: endEvent(process.end) } } };
      return;
    } else {
      const since = performance.now();
      await output.wait(quietMs, signal);
      if (performance.now() - since >= quietMs) yield { event: { event: { case: 'keepalive', value: {} } } };
    }
  }
}

function dataEvent({ channel, bytes }: Piece): Event {
  return { event: { case: 'data', value: { output: { case: channel, value: bytes } } } };
}
