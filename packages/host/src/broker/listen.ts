import { once } from 'node:events';
import { chmod, chown, rename, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { dirname, join } from 'node:path';

/**
 * Listens on a unix socket that only its owner can connect to. The socket gets its mode under another name and is then renamed,
 * so that it is never open to others, and one that an earlier daemon left is replaced.
 * @param owner user id that may connect (the box's VMM runs as it); undefined: this process's own
 */
export async function listenPrivately(server: Server, path: string, owner: number | undefined): Promise<void> {
  // A short name: a unix address has room for 107 bytes.
  const first = join(dirname(path), '.new');
  await rm(first, { force: true });
  server.listen(first);
  await once(server, 'listening');
  await chmod(first, 0o600);
  if (owner !== undefined) await chown(first, owner, -1);
  await rename(first, path);
}
