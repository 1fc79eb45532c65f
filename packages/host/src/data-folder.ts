import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Another daemon works in this data directory. */
export class DataFolderInUse extends Error {
  constructor(folder: string, pid: string | undefined) {
    super(
      `Another host daemon${pid === undefined ? '' : ` (process ${pid})`} works in ${folder}: stop it first, or give this one a folder of its own with CITB_DATA_DIR.`,
    );
    this.name = 'DataFolderInUse';
  }
}

/** The data directory, held by this process alone until `release`. */
export interface DataFolder {
  readonly path: string;
  /** Tells tools on this machine where the daemon listens: `host.json`. */
  announce(url: string): void;
  release(): void;
}

/**
 * Takes the data directory for this process. The lock is SQLite's on a file of its own: the kernel lets go of it whatever
 * ends the process, so a killed daemon never leaves a lock behind.
 * @throws DataFolderInUse
 */
export function takeDataFolder(path: string): DataFolder {
  // Passable but not listable for others: machines run under users of their own and come to their folders by name.
  mkdirSync(path, { recursive: true, mode: 0o711 });
  const pidFile = join(path, 'host.pid');
  const announcement = join(path, 'host.json');
  const lockFile = join(path, 'host.lock');
  // Not for others: who can read it could hold the lock.
  closeSync(openSync(lockFile, 'a', 0o600));
  const lock = new DatabaseSync(lockFile, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== sqliteBusy) throw error;
    throw new DataFolderInUse(path, readPid(pidFile));
  }
  held.add(lock);
  writeFileSync(pidFile, String(process.pid));
  // Of a daemon that was killed: nobody listens there now.
  rmSync(announcement, { force: true });
  return {
    path,
    announce: (url) => {
      const fresh = `${announcement}.new`;
      writeFileSync(fresh, `${JSON.stringify({ url, pid: process.pid })}\n`, { mode: 0o644 });
      renameSync(fresh, announcement);
    },
    release: () => {
      rmSync(announcement, { force: true });
      rmSync(pidFile, { force: true });
      held.delete(lock);
      lock.close();
    },
  };
}

/** A handle that is collected as garbage is closed, and with it goes the lock. */
const held = new Set<DatabaseSync>();

/** SQLITE_BUSY, https://www.sqlite.org/rescode.html#busy */
const sqliteBusy = 5;

function readPid(path: string): string | undefined {
  try {
    return /^\d+$/.exec(readFileSync(path, 'utf8'))?.[0];
  } catch {
    return undefined;
  }
}
