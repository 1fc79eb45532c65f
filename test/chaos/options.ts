import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Driver } from './daemon.ts';
import { type HostOfRound, hostsOfRounds } from './suite.ts';

/** What a run of the suite is to do. */
export interface Options {
  readonly seed: string;
  readonly rounds: Readonly<Record<Driver, number>>;
  /** No round begins later than this, ms from the start. */
  readonly forMs: number;
  /** Hosts of the double at the same time. */
  readonly jobs: number;
  /** Goes on after a failed round. */
  readonly keepGoing: boolean;
  /** After the rounds, more of them for each step that a daemon came to and none has died before. */
  readonly sweep: boolean;
  /** In each round a daemon dies before each step of these names. */
  readonly before: readonly string[];
  /** Of the rounds before the sweep. */
  readonly host: HostOfRound;
}

export const usage = `npm run chaos -- [--rounds 1000] [--driver double|qemu] [--seed SEED] [--minutes N] [--jobs 2] [--keep-going] [--sweep] [--before STEP ...]
                 [--host same|new|prepared]
  Without --driver one round in twenty is on real machines. The seed may also come as CITB_SEED. With --sweep, or without --rounds, there
  are rounds after these, in which a daemon dies before each step that it came to and has not died before yet.
  Each round is on the host of the one before, on a new one, or on one that has its template.`;

/** One round in so many is on real machines. */
const realShare = 20;

/** @throws in words when an option makes no sense */
export function readOptions(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string' },
      driver: { type: 'string' },
      seed: { type: 'string', default: env['CITB_SEED'] ?? randomBytes(6).toString('hex') },
      minutes: { type: 'string' },
      jobs: { type: 'string', default: '2' },
      'keep-going': { type: 'boolean', default: false },
      sweep: { type: 'boolean' },
      before: { type: 'string', multiple: true, default: [] },
      host: { type: 'string', default: 'same' },
    },
  });
  const rounds = positive('--rounds', values.rounds ?? '1000');
  return {
    seed: values.seed,
    rounds: share(rounds, values.driver),
    forMs: values.minutes === undefined ? Infinity : positive('--minutes', values.minutes) * 60_000,
    jobs: positive('--jobs', values.jobs),
    keepGoing: values['keep-going'],
    sweep: values.sweep ?? values.rounds === undefined,
    before: values.before,
    host: hostOf(values.host),
  };
}

function hostOf(text: string): HostOfRound {
  const host = hostsOfRounds.find((each) => each === text);
  if (host === undefined) throw new Error(`--host must be ${hostsOfRounds.join(', ')}`);
  return host;
}

function share(rounds: number, driver: string | undefined): Options['rounds'] {
  if (driver === 'double') return { double: rounds, qemu: 0 };
  if (driver === 'qemu') return { double: 0, qemu: rounds };
  if (driver !== undefined) throw new Error('--driver must be double or qemu');
  const qemu = Math.floor(rounds / realShare);
  return { double: rounds - qemu, qemu };
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} must be a whole number from 1 on`);
  return number;
}
