import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { VmmError } from '../vmm-error.ts';
import { loadState } from './migration.ts';
import type { Qmp } from './qmp.ts';

test('a QEMU that ends when all of the state was sent, and has not read it, is a failed start and not the end of the daemon', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'citb-migration-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [state, path] = [join(folder, 'state'), join(folder, 'migration')];
  writeFileSync(state, 'state of the devices');
  const server = createServer({ pauseOnConnect: true }).listen(path);
  t.after(() => server.close());
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const qmp = {
    async execute(command: string) {
      if (command !== 'query-migrate') return {};
      // Asked when the stream was sent.
      const [stream] = await connected;
      stream.destroy();
      await once(stream, 'close');
      // The kernel has told the other end by then; an error that nobody takes would end this process.
      await delay(50);
      return { status: 'failed', 'error-desc': 'Operation not permitted' };
    },
  } as unknown as Qmp;
  await assert.rejects(loadState(qmp, path, state), (error: unknown) => error instanceof VmmError && /not permitted/.test(error.message));
});
