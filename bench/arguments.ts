import { parseArgs } from 'node:util';

/** What `npm run bench -- ...` was asked for. */
export type Wish =
  | { readonly do: 'parts'; readonly only: readonly string[]; readonly samples: number }
  | { readonly do: 'density'; readonly parked: number; readonly running: number }
  | { readonly do: 'help' };

/** @throws Error in words */
export function readArguments(args: readonly string[], parts: readonly string[]): Wish {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: 'string', multiple: true, default: [] },
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
  const only = values.only.flatMap((names) => names.split(','));
  const unknown = only.find((name) => !parts.includes(name));
  if (unknown !== undefined) throw new Error(`there is no part ${unknown}; there are ${parts.join(', ')}`);
  return { do: 'parts', only, samples: count('samples', values.samples, 1) };
}

export function usage(parts: readonly string[]): string {
  return [
    'npm run bench                                     all parts, as ratios in one run',
    'npm run bench -- --only NAME[,NAME]               some of them: ' + parts.join(', '),
    '                 --samples N                      of each of what is measured often (15)',
    'npm run bench -- density --parked N --running N   how many boxes fit (1000 and 150)',
  ].join('\n');
}

function count(name: string, text: string, least: number): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < least) throw new Error(`--${name} must be a whole number of at least ${least}`);
  return Number(text);
}
