import type { Writable } from 'node:stream';
import picocolors from 'picocolors';

export type Colours = ReturnType<typeof picocolors.createColors>;

/**
 * Colours for one stream: `--no-color` and NO_COLOR turn them off, FORCE_COLOR turns them on (0: off), otherwise a terminal
 * that has them gets them.
 */
export function createColours(stream: Writable, env: Readonly<Record<string, string | undefined>>, wanted = true): Colours {
  return picocolors.createColors(wanted && hasColours(stream, env));
}

function hasColours(stream: Writable, env: Readonly<Record<string, string | undefined>>): boolean {
  // https://no-color.org: present and not empty.
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== 'false';
  return 'isTTY' in stream && stream.isTTY === true && env['TERM'] !== 'dumb';
}
