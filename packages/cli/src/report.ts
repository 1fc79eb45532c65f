import { inspect } from 'node:util';
import { ApiError, ConnectionError } from '@citb/sdk';
import { CommandError, UsageError } from './exit.ts';
import { type Colours, oneLine } from './render/index.ts';

/** A failure for a person: what happened, what to do now, the request id where there is one. With `debug` all that is known. */
export function describeError(error: unknown, colours: Colours, debug: boolean): string {
  const message = error instanceof Error ? error.message : String(error);
  const lines = [`${colours.red('citb:')} ${oneLine(message, 4000)}`];
  const hint = hintOf(error);
  if (hint !== undefined) lines.push(`  ${oneLine(hint, 4000)}`);
  if (error instanceof ApiError && error.requestId !== undefined)
    lines.push(colours.dim(`  request ${oneLine(error.requestId, 100)} (${error.code})`));
  if (debug) lines.push(inspect(error, { depth: 6 }));
  return lines.join('\n');
}

function hintOf(error: unknown): string | undefined {
  if (error instanceof ApiError && error.code === 'unauthorized') {
    return "Set CITB_API_KEY to the host's key: on the machine of the host it is in the file api-key of its data directory.";
  }
  if (error instanceof ApiError || error instanceof ConnectionError) return error.hint;
  if (error instanceof UsageError || error instanceof CommandError) return error.hint;
  return 'This should not happen: run it again with CITB_DEBUG=1 and report what it says.';
}
