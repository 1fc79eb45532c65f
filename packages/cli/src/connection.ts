import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

type Environment = Readonly<Record<string, string | undefined>>;

const defaultUrl = 'http://127.0.0.1:8080';
/** What a running host writes into its data directory. */
const hostFile = z.object({ url: z.url(), pid: z.int().positive() });

/** How to reach the host, and where that was found: `doctor` tells it. */
export interface FoundConnection {
  readonly url: string;
  readonly urlFrom: string;
  readonly apiKey: string | undefined;
  readonly keyFrom: string | undefined;
}

/** Where a host on this machine keeps its state: CITB_DATA_DIR, for root /var/lib/citb, else below the user's data folder. */
export function dataDirectory(env: Environment, uid: number | undefined = process.getuid?.()): string {
  if (env['CITB_DATA_DIR'] !== undefined && env['CITB_DATA_DIR'] !== '') return env['CITB_DATA_DIR'];
  if (uid === 0) return '/var/lib/citb';
  const data = env['XDG_DATA_HOME'];
  return data === undefined || data === '' ? join(env['HOME'] ?? homedir(), '.local/share/citb') : join(data, 'citb');
}

/**
 * Address: `--url`, CITB_URL, what the host on this machine wrote, else port 8080. Key: CITB_API_KEY, else the file of the host
 * on this machine — which is only sent to a host on this machine.
 */
export async function findConnection(env: Environment, urlOption: string | undefined): Promise<FoundConnection> {
  const directory = dataDirectory(env);
  const local = await runningHost(directory);
  const [url, urlFrom] =
    urlOption !== undefined
      ? [urlOption, '--url']
      : env['CITB_URL'] !== undefined && env['CITB_URL'] !== ''
        ? [env['CITB_URL'], 'CITB_URL']
        : local !== undefined
          ? [local.url, join(directory, 'host.json')]
          : [defaultUrl, 'default'];
  if (env['CITB_API_KEY'] !== undefined && env['CITB_API_KEY'] !== '') {
    return { url, urlFrom, apiKey: env['CITB_API_KEY'], keyFrom: 'CITB_API_KEY' };
  }
  const path = join(directory, 'api-key');
  const key = isLoopback(url)
    ? await readFile(path, 'utf8').then(
        (text) => text.trim(),
        () => undefined,
      )
    : undefined;
  return { url, urlFrom, apiKey: key, keyFrom: key === undefined ? undefined : path };
}

async function runningHost(directory: string): Promise<{ url: string } | undefined> {
  try {
    const found = hostFile.parse(JSON.parse(await readFile(join(directory, 'host.json'), 'utf8')));
    process.kill(found.pid, 0);
    return found;
  } catch {
    // No file, or the process that wrote it is gone (or is another user's: then its key is not ours to read either).
    return undefined;
  }
}

function isLoopback(url: string): boolean {
  const name = URL.canParse(url) ? new URL(url).hostname : '';
  return name === 'localhost' || name === '[::1]' || (isIPv4(name) && name.startsWith('127.'));
}
