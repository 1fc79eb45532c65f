import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { VmmError } from '../vmm-error.ts';
import type { Qmp } from './qmp.ts';

/** The state of the devices has 30-100 KB; the memory is not in it. */
const stateBytes = 64 * 1024 * 1024;
const migrationMs = 60_000;

const migrationStatus = z.object({ status: z.string().default('none'), 'error-desc': z.string().optional() });
const runStatus = z.object({ status: z.string() });

/**
 * The stream goes through a socket: QEMU needs no rights to the snapshot's folder, no shell, and what it sends is bounded.
 * `x-ignore-shared` leaves the guest's memory out, which is copied as a file (memory.ts).
 */
async function leaveMemoryOut(qmp: Qmp): Promise<void> {
  await qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: true }] });
}

/** Writes the state of the devices of a paused VM. @throws VmmError; the VM can go on then */
export async function saveState(qmp: Qmp, socketPath: string, path: string): Promise<void> {
  await leaveMemoryOut(qmp);
  await rm(socketPath, { force: true });
  const server = createServer();
  // QEMU is another user; the folder around the socket lets nobody else come near.
  server.listen({ path: socketPath, readableAll: true, writableAll: true });
  await once(server, 'listening');
  try {
    const connected = once(server, 'connection', { signal: AbortSignal.timeout(migrationMs) }) as Promise<[Socket]>;
    connected.catch(() => {});
    await qmp.execute('migrate', { uri: `unix:${socketPath}` });
    const [stream] = await connected;
    await pipeline(stream, bounded(stateBytes), createWriteStream(path, { mode: 0o600, flush: true }), {
      signal: AbortSignal.timeout(migrationMs),
    });
    await until(qmp, 'saved', async () => {
      const { status, 'error-desc': reason } = migrationStatus.parse(await qmp.execute('query-migrate'));
      if (status === 'failed' || status === 'cancelled') throw new VmmError(`the machine's state could not be saved: ${reason ?? status}`);
      return status === 'completed';
    });
  } finally {
    server.close();
    await rm(socketPath, { force: true });
  }
}

/** Loads it into a VM that waits for it (`-incoming defer`), with its memory already in place. The CPUs do not run yet. @throws VmmError */
export async function loadState(qmp: Qmp, socketPath: string, path: string): Promise<void> {
  await leaveMemoryOut(qmp);
  await qmp.execute('migrate-incoming', { uri: `unix:${socketPath}` });
  const stream = connect(socketPath);
  // QEMU knows from the stream where it ends and may hang up first, also when all was sent and `pipeline` looks no more. Whether it
  // has got everything it says itself.
  stream.on('error', () => stream.destroy());
  await pipeline(createReadStream(path), stream, { signal: AbortSignal.timeout(migrationMs) }).catch(() => {});
  await until(qmp, 'loaded', async () => {
    const { status, 'error-desc': reason } = migrationStatus.parse(await qmp.execute('query-migrate'));
    if (status === 'failed') throw new VmmError(`the machine's state could not be loaded: ${reason ?? status}`);
    return runStatus.parse(await qmp.execute('query-status')).status !== 'inmigrate';
  });
}

async function until(qmp: Qmp, what: string, done: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + migrationMs;
  while (!(await done())) {
    if (Date.now() > end) {
      await qmp.execute('migrate_cancel').catch(() => {});
      throw new VmmError(`the machine's state was not ${what} within ${migrationMs} ms`);
    }
    await delay(2);
  }
}

function bounded(bytes: number): Transform {
  let left = bytes;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left < 0) done(new VmmError(`QEMU sends more than ${bytes} bytes of state`));
      else done(null, chunk);
    },
  });
}
