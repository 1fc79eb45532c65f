import { chmodSync, closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { boxesFolder } from './boxes/names.ts';
import { Store } from './store.ts';

/** The database cannot be used, in words for the operator. Nothing was changed. */
export class StoreUnusable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreUnusable';
  }
}

/**
 * Opens the host's database in the data directory, or makes it there.
 * A missing database beside the folders of boxes is not a new host but a lost file: beginning anew would make orphans of all disks,
 * and maintenance would remove them.
 * @throws StoreUnusable
 */
export function openStore(dataDir: string): Store {
  const path = join(dataDir, 'host.db');
  const boxes = boxesFolder(dataDir);
  if (!existsSync(path) && existsSync(boxes) && readdirSync(boxes).length > 0)
    throw new StoreUnusable(
      `The database ${path} is missing, but ${boxes} holds the disks of boxes. Restore the database from a backup; or, to give up the boxes, remove that folder.`,
    );
  try {
    // Made here and not by SQLite, which would let everybody read it; its -wal and -shm files take over the mode.
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    return new Store(path);
  } catch (error) {
    throw new StoreUnusable(
      `The database ${path} cannot be used: ${(error as Error).message}. Nothing was changed. Restore it (with its -wal file, if there is one) from a backup; the disks of the boxes lie in ${boxes}.`,
      error,
    );
  }
}
