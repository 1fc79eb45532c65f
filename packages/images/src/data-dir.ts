import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Where a host keeps everything: CITB_DATA_DIR; else for root /var/lib/citb; else in the user's data folder (XDG).
 * @param uid the caller's, `process.getuid()`
 */
export function defaultDataDir(env: Readonly<Record<string, string | undefined>>, uid = process.getuid?.()): string {
  if (env['CITB_DATA_DIR']) return resolve(env['CITB_DATA_DIR']);
  if (uid === 0) return '/var/lib/citb';
  return env['XDG_DATA_HOME'] ? join(env['XDG_DATA_HOME'], 'citb') : join(env['HOME'] ?? homedir(), '.local', 'share', 'citb');
}
