import { isIP } from 'node:net';
import { sizes } from '@citb/api';
import { defaultDataDir } from '@citb/images';
import { z } from 'zod';

/** What the daemon is told by its environment. Sizes in MiB, times in ms. */
export interface HostConfig {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  /** Undefined: the daemon makes one in the data directory. */
  readonly apiKey: string | undefined;
  /** The Anthropic key of boxes that brought none of their own. */
  readonly modelKey: string | undefined;
  readonly anthropicBaseUrl: string;
  /** Claude model of tasks that name none: always one, so that an update of Claude Code does not change it unasked. */
  readonly model: string;
  readonly diskMib: number;
  /** Boxes without activity are paused after so many seconds, unless they say otherwise; 0: never. */
  readonly idleS: number;
  /** What happens to running boxes when the daemon is told to end. */
  readonly onSigterm: 'keep' | 'pause';
  /** For pausing all of them then. */
  readonly drainMs: number;
  /** Undefined: by memory. */
  readonly maxBoxes: number | undefined;
  readonly memoryReserveMib: number | undefined;
  readonly memoryOversubscription: number;
  readonly diskReserveMib: number;
  /** Undefined: by accelerator. */
  readonly startDeadlineMs: number | undefined;
  /** Automatic checkpoints before tasks that are kept of each box; 0: none are made. */
  readonly autoCheckpoints: number;
  /** A disk that takes more on the host is not copied before a task. */
  readonly autoCheckpointMib: number;
  readonly autoCreate: boolean;
  /** New boxes are clones of a machine that is already up. */
  readonly templates: boolean;
  readonly corsOrigins: readonly string[];
  readonly logLevel: string;
}

/** A setting that cannot be used, in words for the person who made it. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

/** The path of a unix socket in a box's folder has 40 bytes more, and 107 are allowed. */
const longestDataDir = 66;
/** Shorter keys can be guessed by trying. */
const shortestKey = 16;

const whole = (min: number, max: number) =>
  z.coerce
    .number(`must be a whole number`)
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);
const yesOrNo = z.stringbool('must be 1 or 0 (or true, false, yes, no)');

/** Every setting but CITB_DATA_DIR, which tools without a daemon read, too. */
export const environment = z.object({
  CITB_HOST: z
    .string()
    .refine((value) => isIP(value) !== 0 || value === 'localhost', 'must be an IP address to listen on, or localhost')
    .default('127.0.0.1'),
  CITB_PORT: whole(0, 65_535).default(8080),
  CITB_API_KEY: z.string().min(shortestKey, `must have at least ${shortestKey} characters; \`openssl rand -hex 24\` makes one`).optional(),
  CITB_VMM: z
    .enum(['auto', 'qemu', 'firecracker'], 'must be auto, qemu or firecracker')
    .refine((value) => value !== 'firecracker', 'cannot be firecracker yet: this version has the QEMU driver only')
    .default('auto'),
  ANTHROPIC_API_KEY: z.string().optional(),
  CITB_ANTHROPIC_BASE_URL: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).default('https://api.anthropic.com'),
  CITB_MODEL: z.string().max(200, 'must be the name of a model').default('claude-opus-5-5'),
  CITB_DISK_MIB: whole(sizes.diskMib.min, sizes.diskMib.max).default(sizes.diskMib.default),
  CITB_IDLE_S: whole(0, 365 * 24 * 3600).default(600),
  CITB_ON_SIGTERM: z.enum(['keep', 'pause'], 'must be keep (boxes go on running) or pause (they are saved to disk)').default('keep'),
  CITB_DRAIN_S: whole(1, 3600).default(25),
  CITB_MAX_BOXES: whole(1, 100_000).optional(),
  CITB_MEMORY_RESERVE_MIB: whole(0, 1024 * 1024).optional(),
  CITB_MEMORY_OVERSUBSCRIPTION: z.coerce
    .number('must be a number')
    .min(0.1, 'must be at least 0.1')
    .max(16, 'must be at most 16')
    .default(1),
  CITB_DISK_RESERVE_MIB: whole(0, 1024 * 1024).default(1024),
  CITB_START_DEADLINE_S: whole(1, 3600).optional(),
  CITB_AUTO_CHECKPOINTS: whole(0, 100).default(5),
  CITB_AUTO_CHECKPOINT_MIB: whole(0, 1024 * 1024).default(1024),
  CITB_AUTO_CREATE: yesOrNo.default(false),
  CITB_TEMPLATES: yesOrNo.default(true),
  CITB_CORS_ORIGINS: z
    .string()
    .transform((value) => value.split(',').map((origin) => origin.trim()))
    .default([]),
  CITB_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'must be trace, debug, info, warn, error, fatal or silent')
    .default('info'),
});

/** @throws ConfigError with a sentence for each setting that is wrong */
export function readConfig(env: Readonly<Record<string, string | undefined>>): HostConfig {
  // An empty variable is one that is not set: `CITB_MODEL= npm run host`.
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(set);
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}.`).join('\n'));
  const given = parsed.data;
  const dataDir = defaultDataDir(set);
  if (Buffer.byteLength(dataDir) > longestDataDir)
    throw new ConfigError(`CITB_DATA_DIR ${dataDir} is too long: sockets lie in it, so its path may have at most ${longestDataDir} bytes.`);
  if (given.CITB_API_KEY === undefined && !isLoopback(given.CITB_HOST))
    throw new ConfigError(
      `CITB_API_KEY must be set when CITB_HOST is ${given.CITB_HOST}: others can reach this address. \`openssl rand -hex 24\` makes a key.`,
    );
  return {
    host: given.CITB_HOST,
    port: given.CITB_PORT,
    dataDir,
    apiKey: given.CITB_API_KEY,
    modelKey: given.ANTHROPIC_API_KEY,
    anthropicBaseUrl: given.CITB_ANTHROPIC_BASE_URL,
    model: given.CITB_MODEL,
    diskMib: given.CITB_DISK_MIB,
    idleS: given.CITB_IDLE_S,
    onSigterm: given.CITB_ON_SIGTERM,
    drainMs: given.CITB_DRAIN_S * 1000,
    maxBoxes: given.CITB_MAX_BOXES,
    memoryReserveMib: given.CITB_MEMORY_RESERVE_MIB,
    memoryOversubscription: given.CITB_MEMORY_OVERSUBSCRIPTION,
    diskReserveMib: given.CITB_DISK_RESERVE_MIB,
    startDeadlineMs: given.CITB_START_DEADLINE_S === undefined ? undefined : given.CITB_START_DEADLINE_S * 1000,
    templates: given.CITB_TEMPLATES,
    autoCheckpoints: given.CITB_AUTO_CHECKPOINTS,
    autoCheckpointMib: given.CITB_AUTO_CHECKPOINT_MIB,
    autoCreate: given.CITB_AUTO_CREATE,
    corsOrigins: given.CITB_CORS_ORIGINS,
    logLevel: given.CITB_LOG_LEVEL,
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
