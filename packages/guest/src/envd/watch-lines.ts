import { Readable } from 'node:stream';
import type { Watch } from '../tree/index.ts';

/**
 * A watch as NDJSON. The first line is a heartbeat: from then on nothing is missed. Destroying the stream closes the watch.
 * @param quietMs a heartbeat is sent after this long without a change
 */
export function changeLines(watch: Watch, quietMs: number): Readable {
  const left = new AbortController();
  const lines = Readable.from(generate(watch, quietMs, left.signal), { objectMode: false });
  lines.once('close', () => {
    left.abort();
    watch.close();
  });
  return lines;
}

async function* generate(watch: Watch, quietMs: number, signal: AbortSignal): AsyncGenerator<string> {
  const heartbeat = `${JSON.stringify({ type: 'heartbeat', path: '' })}\n`;
  yield heartbeat;
  while (!watch.closed && !signal.aborted) {
    await watch.wait(quietMs, signal);
    const changes = watch.take();
    yield changes.length === 0 ? heartbeat : changes.map((change) => `${JSON.stringify(change)}\n`).join('');
  }
}
