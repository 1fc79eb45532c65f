import { createHash, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { readOrMakeKeyFile } from './key-file.ts';

/** The key that callers send in `X-API-Key`. */
export interface ApiKey {
  /** Where it comes from, in words, for the line that the daemon prints; never the key. */
  readonly origin: string;
  /** Takes the same time whatever is sent. */
  check(candidate: string | undefined): boolean;
}

/** The file in the data directory that holds a key the daemon made itself; `citb` reads it. */
export function apiKeyFile(dataDir: string): string {
  return join(dataDir, 'api-key');
}

/** The key of the environment, else that of the key file (made at the first start). */
export function loadApiKey(configured: string | undefined, dataDir: string): ApiKey {
  if (configured !== undefined) return { origin: 'CITB_API_KEY', check: checker(configured) };
  const path = apiKeyFile(dataDir);
  return { origin: path, check: checker(readOrMakeKeyFile(path, 24)) };
}

/** Hashes first, so that lengths agree and say nothing. */
function checker(key: string): (candidate: string | undefined) => boolean {
  const expected = createHash('sha256').update(key).digest();
  return (candidate) =>
    timingSafeEqual(
      createHash('sha256')
        .update(candidate ?? '')
        .digest(),
      expected,
    );
}
