import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
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
