import { parseArgs } from 'node:util';
import { type Runtime, runtimes } from '@citb/api';

/** What `npm run bench -- ...` was asked for. */
export type Wish =
  | { readonly do: 'parts'; readonly only: readonly string[]; readonly runtimes: readonly Runtime[]; readonly samples: number }
  | { readonly do: 'density'; readonly parked: number; readonly running: number }
  | { readonly do: 'help' };

/** @throws Error in words */
export function readArguments(args: readonly string[], parts: readonly string[]): Wish {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: 'string', multiple: true, default: [] },
      runtimes: { type: 'string', multiple: true, default: [...runtimes] },
      samples: { type: 'string', default: '15' },
      parked: { type: 'string', default: '1000' },
      running: { type: 'string', default: '150' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return { do: 'help' };
  const [command, ...more] = positionals;
  if (more.length > 0 || (command !== undefined && command !== 'density'))
    throw new Error(`there is no benchmark command ${positionals.join(' ')}`);
  if (command === 'density')
    return { do: 'density', parked: count('parked', values.parked, 0), running: count('running', values.running, 0) };
  return {
    do: 'parts',
    only: chosen('part', values.only, parts),
    runtimes: chosen('runtime', values.runtimes, runtimes),
    samples: count('samples', values.samples, 1),
  };
}

export function usage(parts: readonly string[]): string {
  return [
    'npm run bench                                     all parts, as ratios in one run',
    'npm run bench -- --only NAME[,NAME]               some of them: ' + parts.join(', '),
    '                 --runtimes NAME[,NAME]           boxes of these only: ' + runtimes.join(', '),
    '                 --samples N                      of each of what is measured often (15)',
    'npm run bench -- density --parked N --running N   how many boxes fit (1000 and 150)',
  ].join('\n');
}

function chosen<T extends string>(what: string, given: readonly string[], known: readonly T[]): T[] {
  return given
    .flatMap((names) => names.split(','))
    .map((name) => {
      const found = known.find((each) => each === name);
      if (found === undefined) throw new Error(`there is no ${what} ${name}; there are ${known.join(', ')}`);
      return found;
    });
}

function count(name: string, text: string, least: number): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < least) throw new Error(`--${name} must be a whole number of at least ${least}`);
  return Number(text);
}
