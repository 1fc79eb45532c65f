import { Readable } from 'node:stream';
import type { Watch } from '../tree/index.ts';

/**
 * A watch as NDJSON. The first line is a heartbeat: from then on nothing is missed. Destroying the stream closes the watch at once
 * (`Readable.from` would let a generator that waits go on until its next line).
 * @param quietMs a heartbeat is sent after this long without a change
 */
export function changeLines(watch: Watch, quietMs: number): Readable {
  const left = new AbortController();
  const lines = generate(watch, quietMs, left.signal);
  return new Readable({
    read() {
      lines.next().then(
        ({ value, done }) => this.destroyed || this.push(done === true ? null : value),
        (error: Error) => this.destroy(error),
      );
    },
    destroy(error, done) {
      left.abort();
      watch.close();
      done(error);
    },
  });
}

async function* generate(watch: Watch, quietMs: number, signal: AbortSignal): AsyncGenerator<string, undefined> {
  const heartbeat = `${JSON.stringify({ type: 'heartbeat', path: '' })}\n`;
  yield heartbeat;
  while (!watch.closed && !signal.aborted) {
    await watch.wait(quietMs, signal);
    const changes = watch.take();
    yield changes.length === 0 ? heartbeat : changes.map((change) => `${JSON.stringify(change)}\n`).join('');
  }
}
