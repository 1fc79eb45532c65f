import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import { type IncomingMessage, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pour } from './pour.ts';
import { chunkBytes } from './read.ts';

test('a stream that breaks off after its last piece was taken, and before it is written, is an error', async () => {
  const body = new Readable({ read: () => undefined });
  body.push(Buffer.alloc(chunkBytes));
  const written: number[] = [];
  const disk = {
    // The second piece has to wait for the first one; meanwhile the stream ends before its end.
    async writev(chunks: readonly Uint8Array[]) {
      if (written.length === 0) {
        const taken = once(body, 'pause');
        body.push(Buffer.alloc(chunkBytes));
        await taken;
        await setImmediate();
        body.destroy();
        await once(body, 'close');
      }
      const bytesWritten = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
      written.push(bytesWritten);
      return { bytesWritten };
    },
  } as unknown as FileHandle;
  await assert.rejects(pour(body, disk, { limit: Infinity }), { code: 'ERR_STREAM_PREMATURE_CLOSE' });
  assert.deepEqual(written, [chunkBytes, chunkBytes]);
});

test('a caller whose upload fails half-way is still answered', async (t) => {
  const full = { writev: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) } as unknown as FileHandle;
  const server = createServer((incoming, outgoing) => {
    pour(incoming, full, { limit: Infinity }).catch((error: NodeJS.ErrnoException) => outgoing.writeHead(507).end(error.code));
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const call = request({ port, host: '127.0.0.1', method: 'PUT' }).end(Buffer.alloc(64 * chunkBytes));
  t.after(() => call.destroy());
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  assert.equal(answer.statusCode, 507);
});
