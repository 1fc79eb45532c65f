import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Writes and waits until there is room for more: what comes from a box must not pile up before a slow terminal. */
export async function write(out: Writable, data: string | Uint8Array): Promise<void> {
  if (!out.write(data)) await once(out, 'drain');
}
