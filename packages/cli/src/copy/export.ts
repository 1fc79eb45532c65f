import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { BoxExport } from '@citb/api';
import { ApiError, type Exports } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { CommandError } from '../exit.ts';
import { Counted } from './counted.ts';

/** Attempts without a byte of progress before it is given up. */
const attempts = 5;

/**
 * A prepared export as a file; it appears whole and checked, or not at all. A connection that breaks is made again, from the byte
 * where it stopped.
 * @throws ApiError, ConnectionError, CommandError
 */
export async function downloadExport(cli: Cli, exports: Exports, prepared: BoxExport, file: string): Promise<void> {
  const half = `${file}.part`;
  await rm(half, { force: true });
  try {
    for (let failures = 0, have = 0; have < prepared.size_bytes;) {
      using counted = new Counted(cli, file, prepared.size_bytes - have);
      try {
        await pipeline((await exports.download(prepared.id, have)).body, counted, createWriteStream(half, { flags: 'a' }));
      } catch (error) {
        failures = counted.count > 0 ? 1 : failures + 1;
        if (error instanceof ApiError || failures >= attempts) throw error;
      }
      have = await sizeOf(half);
    }
    if ((await hashOf(half)) !== prepared.sha256)
      throw new CommandError('What arrived is not what was sent.', 'Try again; if it goes on, look at the connection.');
    await rename(half, file);
  } catch (error) {
    await rm(half, { force: true });
    throw error;
  }
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
